"""Results of different weights (ema or raw) in one table, comparison, plot or report: named, or refused, as asked."""

import json
from pathlib import Path

import pytest
from made_runs import Invoke
from written_runs import measure, record, write_run

WORDS = ("compare", "model=mlp", "model=unet")
LOSSES = (0.30, 0.32, 0.37)
MIXED = "Mixed: weights ema (3 runs), raw (3 runs)."
REMEDY = "Evaluate all runs with the same --weights; refuse them with --strict."


def write_runs(experiments: Path, weights: dict[str, str | None], name: str = "loss") -> None:
    """Write three seeds of each model, evaluated with these weights."""
    for number, (model, of_model) in enumerate(weights.items()):
        source = None if of_model is None else {"step": 90, "weights": of_model, "sample_seed": 0}
        for seed, loss in enumerate(LOSSES):
            line = record(loss + 0.1 * number, measure(name, n_steps=18), source=source)
            write_run(experiments, 10 * number + seed, [line], model=model, seed=seed, rate=number)


def test_a_comparison_says_that_it_mixes_weights(experiments: Path, invoke: Invoke) -> None:
    write_runs(experiments, {"mlp": "ema", "unet": "raw"})
    code, out, _ = invoke(*WORDS)
    assert code == 0
    assert f"{MIXED} {REMEDY}" in out.splitlines()
    mixed = json.loads(invoke(*WORDS, "--format", "json")[1])["mixed"]
    assert mixed == {"weights": {"ema": 3, "raw": 3}}


@pytest.mark.parametrize("words", [WORDS, ("table",), ("plot", "field", "rate")])
def test_strict_refuses_results_of_different_weights(
    experiments: Path, invoke: Invoke, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_runs(experiments, {"mlp": "ema", "unet": "raw"})
    monkeypatch.chdir(experiments.parent)
    code, out, err = invoke(*words, "--strict")
    assert (code, out) == (2, "")
    assert "--strict: the runs differ: weights ema (3 runs), raw (3 runs). Evaluate all runs with the same --wei" in err
    assert not list(experiments.parent.glob("*.png"))


def test_tables_plots_and_reports_say_it_too(experiments: Path, invoke: Invoke, tmp_path: Path) -> None:
    write_runs(experiments, {"mlp": "ema", "unet": "raw"})
    assert f"{MIXED} {REMEDY}" in invoke("table")[2].splitlines()
    assert f"{MIXED} {REMEDY}" in invoke("plot", "field", "rate", "-o", tmp_path / "a.svg")[2].splitlines()
    assert MIXED in (tmp_path / "a.svg").read_text()
    assert invoke("report", "-o", tmp_path / "a.html")[0] == 0
    assert f"{MIXED} Evaluate all runs with the same --weights." in (tmp_path / "a.html").read_text()


def test_unknown_weights_are_not_taken_for_known_ones(experiments: Path, invoke: Invoke) -> None:
    write_runs(experiments, {"mlp": None, "unet": "ema"})
    assert "Mixed: weights unknown (3 runs), ema (3 runs)." in invoke(*WORDS)[1]


def test_equal_weights_and_measures_that_are_not_compared_are_not_mixed(experiments: Path, invoke: Invoke) -> None:
    write_runs(experiments, {"mlp": "ema", "unet": "ema"})
    line = record(0.5, measure("other"), source={"step": 90, "weights": "raw"})
    write_run(experiments, 30, [line], model="mlp", seed=0, rate=5)
    for words in (WORDS, ("table",)):
        code, out, err = invoke(*words, "--where", "rate<5", "--strict")
        assert code == 0
        assert "Mixed" not in out + err
