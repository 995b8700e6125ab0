"""The names of measures: a subclass of str means its characters, everywhere."""

import enum
import pickle

import numpy as np
import pytest
from meter_reference import ENGINES


class Plain(enum.StrEnum):
    LOSS = "loss"
    BYTES = "bytes"


class Mixed(str, enum.Enum):  # noqa: UP042 - str() of a member is "Mixed.LOSS", unlike that of a StrEnum
    LOSS = "loss"
    BYTES = "bytes"


class Shouted(str):
    """Compares and hashes unlike the plain string of the same characters."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        return self is other


NAMES = pytest.mark.parametrize("name", [Plain.LOSS, Mixed.LOSS, np.str_("loss"), Shouted("loss")], ids=repr)


@ENGINES
@NAMES
def test_a_keyword_of_a_subclass_of_str_is_the_measure_of_its_characters(new, name) -> None:
    meter = new()
    meter.update(**{name: 3.0})
    meter.update(loss=1.0)
    meter.update(**{name: 3.0}, n=2)
    meter.update({name: 3.0})
    meter.update({name: [5.0]})
    assert meter.count("loss") == meter.count(name) == 5
    assert meter.mean(name) == 3.0  # (3 + 1 + 2 * 3 + 3 + 5) / 6
    assert list(meter.results()) == ["loss"]
    assert [type(each) for each in meter.state_dict()["measures"]] == [str]
    assert pickle.loads(pickle.dumps(meter)).count("loss") == 5


@ENGINES
@NAMES
def test_a_declared_name_of_a_subclass_of_str_is_its_characters(new, name) -> None:
    meter = new(name)
    meter.update(loss=1.0)
    meter.update(**{name: 2.0})
    assert meter.count("loss") == 2
    with pytest.raises(ValueError, match=r"twice.*loss"):
        new(name, "loss")


@ENGINES
def test_names_with_the_same_characters_in_one_update_are_refused(new) -> None:
    meter = new("loss")
    for name in (Plain.LOSS, Shouted("loss")):
        with pytest.raises(TypeError, match=r"loss.*in the mapping.*keyword"):
            meter.update({name: 1.0}, loss=2.0)
    with pytest.raises(TypeError, match=r"loss.*twice"):
        meter.update({Shouted("loss"): 1.0, "loss": 2.0})
    assert meter.count("loss") == 0


@ENGINES
@pytest.mark.parametrize("kind", [Plain, Mixed])
def test_pairs_of_a_subclass_of_str_are_their_characters(new, kind) -> None:
    meter = new(pairs=[(kind.LOSS, kind.BYTES)])
    meter.update(**{kind.LOSS: [1.0, 2.0], kind.BYTES: [3.0, 3.0]})
    assert meter.ratio("loss", "bytes").mean == meter.ratio(kind.LOSS, kind.BYTES).mean == 0.5


@ENGINES
def test_a_loaded_state_with_a_name_of_a_subclass_of_str_has_the_plain_name(new) -> None:
    meter = new()
    meter.update(loss=1.0)
    state = meter.state_dict()
    state["measures"] = {Mixed.LOSS: state["measures"]["loss"]}
    loaded = type(meter).from_state_dict(state)
    loaded.update(loss=2.0)
    assert loaded.count("loss") == 2
