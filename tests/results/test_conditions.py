import pytest

from core.config import ConfigError
from results.conditions import parse_condition


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
        ("note=a=b", "a=b", True),
        ("note=__import__('os').getcwd()", "x", False),
    ],
)
def test_a_condition_holds_or_not(text: str, value: object, holds: bool) -> None:
    assert parse_condition(text)[0].holds(value) is holds


@pytest.mark.parametrize("text", ["", "model", "=3", "<", "model unet", "model=>3 or True"[:5]])
def test_what_is_no_condition_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"no condition; accepted: FIELD=VALUE.*learning_rate<1e-3"):
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
