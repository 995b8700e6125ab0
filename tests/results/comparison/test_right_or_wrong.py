"""Two single runs whose samples are right or wrong: score tests, also where all samples of one run are right."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import Invoke
from scipy import stats
from written_runs import finished, measure, record, write_run

WORDS = ("compare", "model=mlp", "model=unet")
ACCURACY = {**measure("accuracy", unit="question", higher_is_better=True), "kind": "proportion"}
RIGHT_25 = np.ones(25)
RIGHT_12 = np.repeat([1.0, 0.0], [12, 13])


def write(
    experiments: Path,
    rows: list[np.ndarray],
    *,
    kept: bool,
    metadata: dict[str, Any] = ACCURACY,
    clusters: np.ndarray | None = None,
) -> None:
    """Write a run of each model with these values per sample, and keep them or not."""
    for number, (model, values) in enumerate(zip(("mlp", "unet"), rows, strict=True)):
        error = float(np.std(values, ddof=1) / math.sqrt(len(values)))
        line = record(float(values.mean()), metadata, evaluation="eval-1", error=error, n=len(values))
        path = write_run(experiments, number, [line, finished("eval-1")], model=model, seed=0)
        if kept:
            file = path / "values" / "eval-1" / "accuracy.npz"
            file.parent.mkdir(parents=True)
            more = {} if clusters is None else {"cluster_id": clusters}
            named = np.array(json.dumps({"schema": "pyml.values/1", **metadata}))
            np.savez(file, sample_id=np.arange(len(values)), value=values, metadata=named, **more)


def compared(invoke: Invoke, *options: str) -> dict[str, Any]:
    code, out, err = invoke(*WORDS, "--format", "json", *options)
    assert (code, err) == (0, "")
    (one,) = json.loads(out)["comparisons"]
    return one


def test_25_of_25_is_better_than_12_of_25_on_other_samples(experiments: Path, invoke: Invoke) -> None:
    write(experiments, [RIGHT_25, RIGHT_12], kept=False)
    one = compared(invoke)
    statistic = stats.chi2_contingency([[25, 0], [12, 13]], correction=False).statistic * 49 / 50
    assert one["test"]["method"] == "score test over samples"
    assert one["test"]["p_value"] == pytest.approx(stats.chi2.sf(statistic, 1), rel=1e-9)
    assert one["answer"] == "A is better (these two runs)"
    out = invoke(*WORDS)[1]
    assert "this holds for these two trained models, not for other seeds" in out


def write_kinds(experiments: Path, kinds: tuple[str, str], *, kept: bool) -> None:
    for number, (model, kind) in enumerate(zip(("mlp", "unet"), kinds, strict=True)):
        values = (RIGHT_25, RIGHT_12)[number]
        write(experiments / kind, [values, values], kept=kept, metadata={**ACCURACY, "kind": kind})
        (run,) = (path for path in (experiments / kind).iterdir() if f'"{model}"' in (path / "config.json").read_text())
        run.rename(experiments / f"2026010{number + 1}T000000000000Z_000000")
        shutil.rmtree(experiments / kind)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("kinds", [("proportion", "mean"), ("mean", "proportion")])
def test_the_test_is_the_same_whichever_run_recorded_a_proportion(
    experiments: Path, invoke: Invoke, kinds: tuple[str, str], kept: bool
) -> None:
    write_kinds(experiments, kinds, kept=kept)
    assert compared(invoke)["test"]["method"] in {"paired over samples, McNemar", "score test over samples"}


def test_the_interval_of_a_row_does_not_depend_on_the_kind_of_another_row(experiments: Path, invoke: Invoke) -> None:
    write_kinds(experiments, ("proportion", "mean"), kept=False)
    both, alone = (
        json.loads(invoke("table", "--format", "json", *options)[1])["groups"][-1]["measures"]["accuracy"]
        for options in ((), ("--where", "model=unet"))
    )
    assert both["wilson_low"] is None
    assert both == alone


def test_the_same_samples_get_mcnemars_test(experiments: Path, invoke: Invoke) -> None:
    write(experiments, [RIGHT_25, RIGHT_12], kept=True)
    one = compared(invoke)
    assert one["test"]["method"] == "paired over samples, McNemar"
    assert one["test"]["p_value"] == pytest.approx(stats.chi2.sf(13**2 / 13, 1), rel=1e-9)
    assert one["answer"] == "A is better (these two runs)"


def test_two_runs_with_everything_right_may_still_differ(experiments: Path, invoke: Invoke) -> None:
    write(experiments, [RIGHT_25, RIGHT_25], kept=False)
    test = compared(invoke)["test"]
    assert compared(invoke)["answer"] == "cannot tell"
    assert (test["p_value"], test["ci_low"]) == (1.0, pytest.approx(-test["ci_high"]))
    # all right in both: delta is rejected if delta² > z² · delta(1 - delta)/25 · 50/49, as in Wilson's interval
    z2 = stats.norm.ppf(0.975) ** 2 * 50 / 49
    assert test["ci_high"] == pytest.approx(z2 / (25 + z2), rel=1e-9)


def test_equivalence_is_told_from_the_counts(experiments: Path, invoke: Invoke) -> None:
    write(experiments, [RIGHT_25, RIGHT_25], kept=False)
    assert compared(invoke, "--equivalent-within", "0.2")["answer"] == "equivalent within ± 0.2"
    assert compared(invoke, "--equivalent-within", "0.05")["answer"] == "cannot tell"


def test_several_measures_share_the_error_rate(experiments: Path, invoke: Invoke) -> None:
    for number, (model, k) in enumerate((("mlp", 20), ("unet", 13))):
        lines = [record(k / 25, {**ACCURACY, "name": name}, error=None, n=25) for name in ("one", "two")]
        write_run(experiments, number, lines, model=model, seed=0)
    one, two = json.loads(invoke(*WORDS, "--format", "json")[1])["comparisons"]
    p = stats.chi2.sf(stats.chi2_contingency([[20, 5], [13, 12]], correction=False).statistic * 49 / 50, 1)
    assert 0.025 < p < 0.05
    assert (one["answer"], two["answer"]) == ("cannot tell", "cannot tell")
    assert one["p_adjusted"] == pytest.approx(2 * p)
    assert one["test"]["ci_low"] < 0 < one["test"]["ci_high"]


def test_values_between_0_and_1_keep_the_t_test(experiments: Path, invoke: Invoke) -> None:
    rows = [np.linspace(0.2, 0.9, 25), np.linspace(0.1, 0.7, 25) ** 2]
    write(experiments, rows, kept=True)
    test = compared(invoke)["test"]
    assert test["method"] == "paired over samples"
    assert test["p_value"] == pytest.approx(stats.ttest_rel(*rows).pvalue, rel=1e-9)


def test_shares_whose_error_is_not_that_of_zeros_and_ones_keep_welchs_test(experiments: Path, invoke: Invoke) -> None:
    rows = [np.repeat([0.5, 0.9], [10, 10]), np.repeat([0.25, 0.75], [10, 10])]  # means 0.7 and 0.5 of 20: 14 and 10
    write(experiments, rows, kept=False)
    test = compared(invoke)["test"]
    assert test["method"] == "Welch over samples"
    assert test["p_value"] == pytest.approx(stats.ttest_ind(*rows, equal_var=False).pvalue, rel=1e-9)


def test_zeros_and_ones_that_are_no_proportion_keep_the_t_test(experiments: Path, invoke: Invoke) -> None:
    write(experiments, [RIGHT_25, RIGHT_12], kept=True, metadata=measure("accuracy"))
    assert compared(invoke)["test"]["method"] == "paired over samples"


def test_clusters_of_right_and_wrong_samples_keep_clustered_errors(experiments: Path, invoke: Invoke) -> None:
    write(experiments, [RIGHT_25, RIGHT_12], kept=True, clusters=np.arange(25) // 5)
    test = compared(invoke)["test"]
    assert (test["method"], test["df"], test["counts"]) == ("paired over samples, clustered", 4, None)


def test_the_detectable_difference_is_that_of_a_normal_test(experiments: Path, invoke: Invoke) -> None:
    write(experiments, [np.repeat([1.0, 0.0], [20, 5]), np.repeat([1.0, 0.0], [17, 8])], kept=False)
    one = compared(invoke)
    factor = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert one["detectable_difference"] == pytest.approx(factor * one["test"]["error"], rel=1e-3)
