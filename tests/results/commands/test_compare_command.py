"""``python -m core compare`` as a user meets it."""

import json

import pytest
from made_runs import ACCURACY, LOSS, Invoke, MakeRun

from core.utils.results import ResultMetadata


@pytest.fixture
def two_models(make_run: MakeRun) -> None:
    for model, values in (("mlp", [0.30, 0.34, 0.32, 0.37]), ("unet", [0.20, 0.22, 0.22, 0.24])):
        for seed, value in enumerate(values):
            make_run({LOSS: value, ACCURACY: 0.9 + 0.01 * (seed % 3)}, model=model, seed=seed)
    make_run(state="failed", model="unet", seed=8)


@pytest.mark.usefixtures("two_models")
def test_compare_says_who_is_better_how_it_was_tested_and_what_cannot_be_told(invoke: Invoke) -> None:
    code, out, err = invoke("compare", "model=mlp", "model=unet")
    assert (code, err) == (0, "")
    assert "A: model=mlp  (4 runs, seeds 0 to 3)" in out
    assert "B: model=unet  (4 runs, seeds 0 to 3; left out: 1 failed)" in out
    table = [line for line in out.splitlines() if line.startswith(("loss ", "accuracy "))]
    assert "B is better" in table[0]
    assert "no difference at all" in table[1]
    assert "loss, accuracy: paired over seeds, 4 pairs." in out
    assert "95% Student's t interval over the runs that were compared" in out


@pytest.mark.usefixtures("two_models")
def test_what_cannot_be_told_comes_with_the_smallest_difference_that_could(make_run: MakeRun, invoke: Invoke) -> None:
    for seed, value in enumerate([0.33, 0.30, 0.35, 0.36]):
        make_run({LOSS: value}, model="third", seed=seed)
    code, out, _ = invoke("compare", "model=mlp", "model=third", "--detect", "0.01")
    assert code == 0
    assert "loss: cannot tell; 4 pairs would have shown a difference of 0.0" in out
    assert "loss: to detect 0.01 with 80% power:" in out
    assert "seeds of each group" in out


@pytest.mark.usefixtures("two_models")
def test_compare_writes_json_for_programs(invoke: Invoke) -> None:
    code, out, _ = invoke(
        "compare", "model=mlp", "model=unet", "--format", "json", "--metric", "loss", "--detect", "0.1"
    )
    content = json.loads(out, parse_constant=pytest.fail)
    (one,) = content["comparisons"]
    assert code == 0
    assert content["schema"] == "pyml.comparison/1"
    assert one["a"]["seeds"] == [0, 1, 2, 3]
    assert one["b"]["n_runs"] == 4
    assert list(one["b"]["left_out"].values()) == ["failed"]
    assert one["answer"] == "B is better"
    assert one["detect"]["n_seeds"] >= 2


def test_single_runs_show_an_unknown_error_over_runs(make_run: MakeRun, invoke: Invoke) -> None:
    paths = [make_run({LOSS: 0.3}), make_run({LOSS: 0.5}, model="unet")]
    code, out, _ = invoke("compare", *(path.name for path in paths), "--detect", "0.1")
    assert code == 0
    assert "0.300 ± unknown" in out
    assert "one run each: this holds for these two trained models, not for other seeds" in out
    assert "cannot estimate the seeds needed: run at least two seeds of each group" in out


def test_protocols_that_differ_are_refused_with_code_2(make_run: MakeRun, invoke: Invoke) -> None:
    make_run({ResultMetadata("loss", protocol={"split": "train"}): 0.3}, model="mlp")
    make_run({ResultMetadata("loss", protocol={"split": "held_out"}): 0.3}, model="unet")
    code, out, err = invoke("compare", "model=mlp", "model=unet")
    assert (code, out) == (2, "")
    assert "loss: not compared, because the protocols differ: split train against held_out." in err


@pytest.mark.usefixtures("two_models")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model=mlp",), "compare needs A and B"),
        (("model=mlp", "modle=unet"), "Did you mean 'model'?"),
        (("model=mlp", "nowhere"), "no run 'nowhere'"),
        (("model=mlp", "model=unet", "--level", "95"), "--level: got 95; accepted: a number between 0 and 1"),
        (("model=mlp", "model=unet", "--detect", "0"), "--detect: got 0"),
        (("model=mlp", "model=unet", "--detect", "nan"), "--detect: got nan"),
        (("model=mlp", "model=unet", "--detect", "0.1"), "--detect is in the unit of one measure"),
        (("model=mlp", "model=unet", "--metric", "los"), "Did you mean 'loss'?"),
        (("model=mlp", "model=unet", "--test", "t"), "'t' is not one of"),
    ],
)
def test_wrong_usage_exits_2_with_one_message(invoke: Invoke, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = invoke("compare", *arguments)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("level", ["0.95", "0.99"])
@pytest.mark.parametrize("seeds_b", [(0, 1), (10, 11)])
def test_two_runs_a_side_get_an_answer(make_run: MakeRun, invoke: Invoke, seeds_b: tuple[int, ...], level: str) -> None:
    for rate, values, seeds in ((1e-3, (0.293, 0.307), (0, 1)), (1e-4, (0.305, 0.315), seeds_b)):
        for seed, value in zip(seeds, values, strict=True):
            make_run({LOSS: value}, learning_rate=rate, seed=seed)
    code, out, err = invoke("compare", "learning_rate=0.001", "learning_rate=0.0001", "--level", level)
    assert (code, err) == (0, "")
    assert "cannot tell" in out
    assert "would have shown a difference of" in out


def test_three_pairs_are_needed_where_two_would_have_a_power_of_a_half(make_run: MakeRun, invoke: Invoke) -> None:
    for model, values in (("mlp", (0.30, 0.30, 0.30)), ("unet", (0.31, 0.32, 0.33))):
        for seed, value in enumerate(values):
            make_run({LOSS: value}, model=model, seed=seed)
    code, out, _ = invoke("compare", "model=mlp", "model=unet", "--detect", "0.06")
    assert code == 0
    assert "to detect 0.06 with 80% power: 3 seeds of each group" in out
