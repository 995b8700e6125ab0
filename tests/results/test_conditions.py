from datetime import UTC, datetime

import pytest

from core.config import ConfigError
from results.conditions import AnyOf, parse_condition
from results.expressions import parse_expression
from results.moments import Seconds


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("learning_rate<1e-3", 3e-4, True),
        ("learning_rate < 1e-3", 1e-3, False),
        ("learning_rate<=1e-3", 1e-3, True),
        ("learning_rate=0.001", 1e-3, True),
        ("learning_rate==0.001", 1e-3, True),
        ("learning_rate!=0.001", 1e-3, False),
        ("seed>=3", 3, True),
        ("seed>3", 3, False),
        ("seed=9007199254740993", 9007199254740992, False),  # 2^53 + 1: equal once rounded to a double
        ("seed=-1", -1, True),
        ("model=unet", "unet", True),
        ("model='unet'", "unet", True),
        ("model=Unet", "unet", False),
        ("model!=unet", "mlp", True),
        ("model=", "", True),
        ("id>20260101", "20260202T000000000000Z_000000", True),
        ("augment=true", True, True),
        ("augment=True", False, False),
        ("augment=1", True, False),
        ("n_classes=none", None, True),
        ("n_classes!=none", 10, True),
        ("n_classes=none", 10, False),
        ("n_classes>3", None, False),
        ("sizes=512,512", [512, 512], True),
        ("sizes=[512, 512]", [512, 512], True),
        ("sizes=512", [512, 512], False),
        ("sizes!=512", [512, 512], True),
        ("sizes=", [], True),
        ("loss<inf", float("inf"), False),
        ("loss=nan", float("nan"), True),
        ("loss=nan", 0.5, False),
        ("loss!=nan", 10**400, True),
        ("loss in nan,inf", float("nan"), True),
        ("model in 'a,b',unet", "a,b", True),
        ("model in 'a,b', unet", "unet", True),
        ("model in ('a,b')", "b'", False),
        ("model in it's,unet", "it's", True),
        ('model in "a, b" , c', "a, b", True),
        ("note=a=b", "a=b", True),
        ("model=un*", "unet", True),
        ("model=un*", "dunet", False),
        ("model='un*'", "unet", False),
        ("model='un*'", "un*", True),
        ("model=u?et", "unet", True),
        ("model=u.et", "unet", False),
        ("model!=un*", "mlp", True),
        ("name=a[1]", "a[1]", True),
        ("name=a[1]*", "a[1]b", True),
        ("learning_rate in 1e-3,1e-4", 1e-4, True),
        ("learning_rate in (1e-3, 1e-4)", 2e-4, False),
        ("learning_rate not in 1e-3,1e-4", 2e-4, True),
        ("learning_rate  not  in [1e-3]", 1e-3, False),
        ("model in un*, mlp", "unet", True),
        ("augment in true,none", None, True),
        ("git_commit=1a2b3c", "1a2b3c4d5e6f", True),
        ("git_commit=1a2", "1a2b3c4d5e6f", False),
        ("git_commit!=1a2b3c", "1a2b3c4d5e6f", False),
        ("torch<2.10", "2.9.1+cpu", True),
        ("torch>=2.10", "2.9.1", False),
        ("tag=good", AnyOf(["bad", "good"]), True),
        ("tag=go*", AnyOf(["bad", "good"]), True),
        ("tag!=good", AnyOf(["bad", "good"]), False),
        ("tag!=good", AnyOf(), True),
        ("tag in good,best", AnyOf(["bad"]), False),
        ("started>=2026-11-01", datetime(2026, 11, 1, tzinfo=UTC), True),
        ("started>2026-11-01", datetime(2026, 11, 1, 23, 59, tzinfo=UTC), False),
        ("started<=2026-11-01", datetime(2026, 11, 1, 23, 59, tzinfo=UTC), True),
        ("started<2026-11-01", datetime(2026, 11, 1, tzinfo=UTC), False),
        ("started=2026-11-01", datetime(2026, 11, 1, 23, 59, tzinfo=UTC), True),
        ("started!=2026-11-01", datetime(2026, 11, 2, tzinfo=UTC), True),
        ("started=2026-12", datetime(2026, 12, 31, 23, 59, tzinfo=UTC), True),
        ("started>2026", datetime(2027, 1, 1, 1, tzinfo=UTC), True),
        ("started<2026-11-01T12:00+02:00", datetime(2026, 11, 1, 10, tzinfo=UTC), False),
        ("started<=2026-11-01T12:00+02:00", datetime(2026, 11, 1, 10, tzinfo=UTC), True),
        ("duration>1h", Seconds(3601), True),
        ("duration>1.5h", Seconds(3601), False),
        ("age<2d", Seconds(86_400), True),
        ("duration=90", Seconds(90), True),
        ("note=__import__('os').getcwd()", "x", False),
    ],
)
def test_a_condition_holds_or_not(text: str, value: object, holds: bool) -> None:
    assert parse_condition(text)[0].holds(value) is holds


@pytest.mark.parametrize("text", ["", "model", "=3", "<", "model unet", "model=>3 or True"[:5]])
def test_what_is_no_condition_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not a condition; accepted: FIELD=VALUE.*learning_rate<1e-3"):
        parse_condition(text)


def test_a_condition_on_a_name_that_holds_signs_can_be_read_in_each_way() -> None:
    readings = parse_condition("frechet (n_steps=18)<=2")
    assert [(reading.field, reading.operator, reading.wanted) for reading in readings] == [
        ("frechet (n_steps", "=", "18)<=2"),
        ("frechet (n_steps=18)", "<=", "2"),
    ]


def test_a_number_compared_with_a_word_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"learning_rate is a number \(such as 0.001\); got 'fast'"):
        parse_condition("learning_rate<fast")[0].holds(1e-3)


def test_a_list_has_no_order() -> None:
    with pytest.raises(ConfigError, match=r"sizes is a list; compare it with = or !="):
        parse_condition("sizes<3")[0].holds([1, 2])


def test_a_status_that_no_run_can_have_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown status 'finised'. Did you mean 'finished'\?"):
        parse_condition("status=finised")


@pytest.mark.parametrize("text", ["augment<true", "augment>=false"])
def test_true_and_false_have_no_order(text: str) -> None:
    with pytest.raises(ConfigError, match=r"augment is true or false; compare it with =, != or in"):
        parse_condition(text)[0].holds(True)


@pytest.mark.parametrize("wanted", ["yesterday", "2026-13", "2026-02-30", "11/01/2026", "0"])
def test_what_is_no_date_is_refused_with_an_example(wanted: str) -> None:
    with pytest.raises(ConfigError, match=r"started is a time; compare it with a UTC date or time, such as 2026-11-01"):
        parse_condition(f"started>{wanted}")[0].holds(datetime(2026, 1, 1, tzinfo=UTC))


def test_a_length_of_time_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"duration is a number \(such as 90, in seconds or such as 90s, 5min"):
        parse_condition("duration>long")[0].holds(Seconds(90))


def test_in_needs_values() -> None:
    with pytest.raises(ConfigError, match=r"'in' needs values after it, such as seed in A,B"):
        parse_condition("seed in ()")[0].holds(3)


def parts(text: str) -> list[list[str]]:
    return [[readings[0].text for readings in alternative] for alternative in parse_expression(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model=unet", [["model=unet"]]),
        ("model=unet or model=mlp", [["model=unet"], ["model=mlp"]]),
        ("model=unet, seed=1 or seed=2 and lr<1", [["model=unet", "seed=1"], ["seed=2", "lr<1"]]),
        ("seed in 1, 2, model=unet", [["seed in 1, 2", "model=unet"]]),
        ("seed in 1,2,model=unet", [["seed in 1,2", "model=unet"]]),
        ("model=unet,lr<1", [["model=unet", "lr<1"]]),
        ("sizes=512,512,lr<1", [["sizes=512,512", "lr<1"]]),
        ("seed in (1, 2) or no dropout", [["seed in (1, 2)"], ["no dropout"]]),
        ("note=rock and roll", [["note=rock and roll"]]),
        ("note=this or that, seed=1", [["note=this or that", "seed=1"]]),
        ("note='a, b=c or d=e'", [["note='a, b=c or d=e'"]]),
        ("frechet (n_steps=18, split=a)<50, seed=1", [["frechet (n_steps=18, split=a)<50", "seed=1"]]),
        ("sizes=[512, 512], has dropout", [["sizes=[512, 512]", "has dropout"]]),
        ("reason=it's late or seed=1", [["reason=it's late"], ["seed=1"]]),
    ],
)
def test_conditions_are_joined_by_and_and_or(text: str, expected: list[list[str]]) -> None:
    assert parts(text) == expected


@pytest.mark.parametrize("text", ["model=mlp or", "model=mlp and ", "or model=mlp", "model=mlp and seed=0 or"])
def test_a_word_that_joins_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"'(or|and)' joins two conditions, such as model=mlp (or|and) seed=0"):
        parse_expression(text)


@pytest.mark.parametrize("text", ["note='this or'", "tag = or", "model=and", "tag in (a, or)"])
def test_these_words_may_be_values(text: str) -> None:
    assert len(parse_expression(text)) == 1
