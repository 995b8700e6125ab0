"""Subclasses of Meter: copies, pickles, sums and merges keep the class and its attributes."""

import copy
import pickle

import pytest

from core.utils.meters import Meter


class Tagged(Meter):
    """Has attributes in slots, one of them not set at first, and a constructor of its own."""

    __slots__ = ("__private", "later", "tag")

    def __init__(self, tag: str) -> None:
        super().__init__("loss")
        self.tag = tag
        self.__private = tag * 2

    @property
    def private(self) -> str:
        return self.__private


class Open(Meter):
    """Has a ``__dict__``, and a slot of a base class."""


class Both(Tagged):
    """Has slots and a ``__dict__``."""


class Restored(Meter):
    """Says itself what is saved."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tag = tag

    def __getstate__(self) -> dict[str, str]:
        return {"saved": self.tag}

    def __setstate__(self, state: dict[str, str]) -> None:
        self.tag = state["saved"] + "!"


def copies(meter: Meter) -> list[Meter]:
    return [copy.copy(meter), copy.deepcopy(meter), *(pickle.loads(pickle.dumps(meter, p)) for p in (0, 2, 5))]


def test_copies_and_pickles_keep_attributes_in_slots() -> None:
    for cls in (Tagged, Both):
        meter = cls("a")
        meter.update(loss=[1.0, 3.0])
        if cls is Both:
            meter.note = "free"
        for each in copies(meter):
            assert type(each) is cls
            assert (each.tag, each.private, hasattr(each, "later")) == ("a", "aa", False)
            assert getattr(each, "note", None) == getattr(meter, "note", None)
            assert each == meter
            each.update(loss=8.0)
            assert (each.mean("loss"), meter.mean("loss")) == (4.0, 2.0)


def test_a_sum_has_the_class_and_the_attributes_of_the_first() -> None:
    a, b, plain = Tagged("a"), Tagged("b"), Meter()
    for meter, value in ((a, 1.0), (b, 3.0), (plain, 8.0)):
        meter.update(loss=value)
    b.later = 5
    for total, tag, mean in (
        (a + b, "a", 2.0),
        (sum([b, a]), "b", 2.0),
        (b + plain, "b", 5.5),
        (a.all_reduce(), "a", 1),
    ):
        assert type(total) is Tagged
        assert (total.tag, total.private, hasattr(total, "later")) == (tag, tag * 2, tag == "b")
        assert total.mean("loss") == mean
    assert type(plain + a) is Meter
    with pytest.raises(KeyError, match="unknown measure 'other'"):
        (a + b).update(other=1.0)
    assert (a.mean("loss"), b.mean("loss")) == (1.0, 3.0)


def test_attributes_in_a_dict_are_kept_and_not_shared() -> None:
    meter = Open()
    meter.note = ["x"]
    assert [each.note for each in copies(meter)] == [["x"]] * 5
    assert (meter + meter).note == ["x"]
    (meter + meter).other = 1
    assert not hasattr(meter, "other")


def test_a_subclass_may_say_itself_what_is_saved() -> None:
    meter = Restored("a")
    assert [each.tag for each in copies(meter)] == ["a!"] * 5
    assert (meter + meter).tag == "a!"


@pytest.mark.parametrize("read", ["mean", "error", "count", "result", "min", "sum"])
def test_a_name_that_is_no_string_is_refused_in_the_words_of_the_meter(read) -> None:
    meter = Meter()
    meter.update(x=1.0)
    with pytest.raises(TypeError, match=r"^3: got a measure name of type int; accepted: str$"):
        getattr(meter, read)(3)
