"""The sentences and means beside an answer speak of what was compared, in one unit, and claim nothing unknown."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from made_runs import Invoke
from scipy import stats
from written_runs import finished, measure, record, write_run

from results.comparison.difference_text import p_text

SECONDS = measure("time/eval", unit="run")


def two_groups(
    directory: Path, a: Sequence[float], b: Sequence[float], first_b: int = 0, of: dict[str, object] | None = None
) -> None:
    for i, value in enumerate(a):
        write_run(directory, i, [record(value, of)], model="mlp", seed=i)
    for i, value in enumerate(b):
        write_run(directory, 100 + i, [record(value, of)], model="unet", seed=first_b + i)


def compare(invoke: Invoke, *options: str) -> str:
    code, out, _ = invoke("compare", "model=mlp", "model=unet", *options)
    assert code == 0
    return out


def with_values(
    directory: Path, number: int, ids: Sequence[int], values: Sequence[float], model: str, seed: int = 0
) -> Path:
    run = write_run(
        directory,
        number,
        [record(float(np.mean(values)), evaluation="eval-1", n=len(values)), finished("eval-1")],
        model=model,
        seed=seed,
    )
    (run / "values" / "eval-1").mkdir(parents=True)
    path = run / "values" / "eval-1" / "loss.npz"
    np.savez(path, sample_id=np.array(ids), value=np.array(values), metadata=np.array(json.dumps(measure())))
    return path


@pytest.mark.parametrize("first_b", [0, 10])
def test_without_spread_the_seeds_needed_are_unknown(experiments: Path, invoke: Invoke, first_b: int) -> None:
    two_groups(experiments, [0.9, 0.9], [0.8, 0.8], first_b)
    out = compare(invoke, "--detect", "0.06")
    assert "to detect 0.06: cannot estimate the seeds needed: the runs show no spread." in out


def test_the_equivalence_of_times_is_said_in_the_unit_of_the_column(experiments: Path, invoke: Invoke) -> None:
    times = [3.01e-4, 3.02e-4, 3.00e-4, 3.03e-4]
    two_groups(experiments, times, [t + 1e-7 * (i % 2) for i, t in enumerate(times)], of=SECONDS)
    out = compare(invoke, "--metric", "time/eval", "--equivalent-within", "0.00001")
    assert out.count("equivalent within ± 10 µs") == 2
    assert "1e-05" not in out


def test_the_means_of_paired_samples_are_those_of_the_pairs(experiments: Path, invoke: Invoke) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=90)
    of_a, of_b = values[:60], values[20:] + 0.1 + 0.1 * rng.normal(size=70)
    with_values(experiments, 0, range(60), list(of_a), "mlp")
    with_values(experiments, 1, range(20, 90), list(of_b), "unet")
    out = compare(invoke)
    assert "samples without a partner left out: 20 of A, 30 of B; one run each" in out
    (one,) = json.loads(compare(invoke, "--format", "json"))["comparisons"]
    shared_a, shared_b = of_a[20:], of_b[:40]
    assert one["a"]["mean"] == pytest.approx(np.mean(shared_a), rel=1e-12)
    assert one["b"]["mean"] == pytest.approx(np.mean(shared_b), rel=1e-12)
    assert one["a"]["mean"] - one["b"]["mean"] == pytest.approx(one["test"]["difference"], rel=1e-12)
    assert one["test"]["p_value"] == pytest.approx(stats.ttest_rel(shared_a, shared_b).pvalue, rel=1e-9)


def test_kept_values_whose_mean_is_not_the_result_are_named(experiments: Path, invoke: Invoke) -> None:
    path = with_values(experiments, 0, range(4), [0.5, 0.25, 0.5, 0.75], "mlp")
    with_values(experiments, 1, range(4), [0.5, 0.5, 0.5, 0.25], "unet")
    assert "kept values whose mean" not in compare(invoke)
    results = path.parents[2] / "results.jsonl"
    results.write_text(results.read_text().replace('"mean": 0.5', '"mean": 0.9'))
    assert "A kept values whose mean is 0.5, while its result is 0.9" in compare(invoke)


def test_kept_values_of_several_seeds_whose_means_are_not_the_results_are_named(
    experiments: Path, invoke: Invoke
) -> None:
    rng = np.random.default_rng(0)
    for number, (model, seed) in enumerate([("mlp", 0), ("mlp", 1), ("unet", 0), ("unet", 1)]):
        path = with_values(experiments, number, range(9), list(5 + rng.normal(size=9)), model, seed)
    assert "over new seeds and new samples" in compare(invoke)
    assert "The values that the runs kept have other means" not in compare(invoke)
    results = path.parents[2] / "results.jsonl"
    results.write_text(results.read_text().replace('"mean": ', '"mean": 9'))
    assert "The values that the runs kept have other means than their results." in compare(invoke)


def test_seeds_far_apart_are_listed_at_once(experiments: Path, invoke: Invoke) -> None:
    for number, seed in enumerate([7, 2**70, 8, 7, 2**70, 8]):
        write_run(experiments, number, [record(0.5 + number)], model="mlp" if number < 3 else "unet", seed=seed)
    assert f"A: model=mlp  (3 runs, seeds 7, 8, {2**70})" in compare(invoke)


def test_an_error_without_a_number_of_observations_is_named_as_the_reason(experiments: Path, invoke: Invoke) -> None:
    write_run(experiments, 0, [record(0.5, n=None)], model="mlp", seed=0)
    write_run(experiments, 1, [record(0.8)], model="unet", seed=0)
    reason = "one run, whose result does not say how many observations (n) its error rests on"
    assert f"no test; A: {reason}." in compare(invoke)
    claim = invoke("claim", "model=mlp", "--metric", "loss", "--below", "0.6")[1]
    assert f"O{reason[1:]}; run more seeds." in claim


def test_samples_that_differ_by_rounding_only_show_nothing(experiments: Path, invoke: Invoke) -> None:
    values = [0.1 * i for i in range(1, 9)]
    shifted = [x + 0.05 for x in values]
    assert len({y - x for x, y in zip(values, shifted, strict=True)}) > 1  # but for rounding, each is 0.05
    for seed in (0, 1):
        paths = [
            with_values(experiments, 2 * seed + i, range(8), row, model, seed)
            for i, (model, row) in enumerate([("mlp", values), ("unet", shifted)])
        ]
    assert "over new seeds and new samples" not in compare(invoke)
    for path in paths:
        with np.load(path) as arrays:
            np.savez(path, **arrays, cluster_id=np.arange(8) // 2)
    (one,) = json.loads(compare(invoke, "--where", "seed=1", "--format", "json"))["comparisons"]
    assert (one["answer"], one["test"]["p_value"]) == ("cannot tell", None)


def test_samples_that_cannot_be_paired_say_why(experiments: Path, invoke: Invoke) -> None:
    paths = [with_values(experiments, i, range(5), [1.0, 2, 3, 4, 5 + i], m) for i, m in enumerate(["mlp", "unet"])]
    paths[1].unlink()
    assert "B has no usable values per sample, so samples are not paired" in compare(invoke)


def test_runs_without_shared_samples_say_so(experiments: Path, invoke: Invoke) -> None:
    with_values(experiments, 0, range(5), [1.0, 2, 3, 4, 5], "mlp")
    with_values(experiments, 1, range(5, 10), [1.0, 2, 3, 4, 6], "unet")
    assert "the runs share fewer than two samples, so samples are not paired" in compare(invoke)


def test_a_sample_that_is_held_twice_is_a_fault(experiments: Path, invoke: Invoke) -> None:
    with_values(experiments, 0, [0, 1, 2, 2, 4], [1.0, 2, 3, 4, 5], "mlp")
    with_values(experiments, 1, range(5), [1.0, 2, 3, 4, 6], "unet")
    code, out, err = invoke("compare", "model=mlp", "model=unet")
    assert code == 0
    assert "Welch over samples" in out
    assert "loss.npz: holds a sample id twice; its samples are not paired" in err


def test_robust_is_not_advised_where_it_was_asked_for(experiments: Path, invoke: Invoke) -> None:
    two_groups(experiments, [0.30, 0.31, 0.32, 0.30, 0.31, 0.95], [0.2, 0.21, 0.22, 0.2, 0.21, 0.22])
    out = compare(invoke, "--robust")
    warning = "so the t intervals of the means (±) may cover less than their nominal level."
    assert f"loss: A - B has an outlier (seed 5), {warning}" in out
    assert "see --robust" not in out


def test_an_older_run_of_a_seed_is_not_called_left_out_where_it_counts(experiments: Path, invoke: Invoke) -> None:
    two_groups(experiments, [0.3, 0.31], [0.2, 0.22])
    write_run(experiments, 200, [record(0.5, measure("accuracy"))], model="mlp", seed=0)
    out = compare(invoke, "--metric", "loss")
    assert "2 runs, seeds 0, 1; 1 older run of a seed is used only for results that the newer run lacks" in out
    assert "left out" not in out


def test_rounding_has_no_outliers(experiments: Path, invoke: Invoke) -> None:
    two_groups(experiments, [0.1 + 0.2] * 3, [0.1 + 0.2, 0.3, 0.3])
    assert "outlier" not in compare(invoke)


def test_clusters_that_one_run_kept_hold_for_both(experiments: Path, invoke: Invoke) -> None:
    rng = np.random.default_rng(3)
    clusters, a = np.repeat(np.arange(10), 4), rng.normal(size=40)
    b = a + 0.1 + 0.1 * rng.normal(size=10)[clusters]
    path = with_values(experiments, 0, range(40), list(a), "mlp")
    with_values(experiments, 1, range(40), list(b), "unet")
    with np.load(path) as arrays:
        np.savez(path, **arrays, cluster_id=clusters)
    (one,) = json.loads(compare(invoke, "--format", "json"))["comparisons"]
    means = (a - b).reshape(10, 4).mean(axis=1)  # of equal sizes, so a t test of the clusters' means
    assert one["test"]["p_value"] == pytest.approx(stats.ttest_1samp(means, 0).pvalue, rel=1e-9)
    assert one["findings"]["clusters"]["n_clusters"] == 10


def test_runs_whose_results_are_beyond_the_bound_have_diverged(experiments: Path, invoke: Invoke) -> None:
    two_groups(experiments, [1e300, 0.7, 0.75], [0.8, 0.9, 0.95])
    code, out, err = invoke("compare", "model=mlp", "model=unet")
    assert code == 0
    assert "results.jsonl: loss: got 1e+300; accepted: numbers up to 1e+150" in err
    assert "1 of A's runs not finite and left out" in out
    assert "failed: 1 of 3 runs of A against 0 of 3 of B" in out


def test_lines_that_cannot_be_read_are_reported_beside_the_error(experiments: Path, invoke: Invoke) -> None:
    two_groups(experiments, [0.7, 0.75], [0.8, 0.9])
    for path in experiments.glob("*/results.jsonl"):
        path.write_text(path.read_text().replace('"unit"', "unit", 1))
    code, _, err = invoke("compare", "model=mlp", "model=unet")
    assert code == 2
    assert "Could not be read: " in err


def test_a_claim_about_one_run_allows_for_clusters(experiments: Path, invoke: Invoke) -> None:
    clusters = np.repeat(np.arange(8), 5)
    rng = np.random.default_rng(4)
    values = rng.normal(size=8)[clusters] + 0.1 * rng.normal(size=40)
    path = with_values(experiments, 0, range(40), list(values), "mlp")
    with np.load(path) as arrays:
        np.savez(path, **arrays, cluster_id=clusters)
    code, out, _ = invoke("claim", "model=mlp", "--metric", "loss", "--below", "0.5", "--format", "json")
    assert code == 0
    means = values.reshape(8, 5).mean(axis=1)
    expected = stats.ttest_1samp(means, 0.5, alternative="less")
    assert json.loads(out)["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)
    text = invoke("claim", "model=mlp", "--metric", "loss", "--below", "0.5")[1]
    assert "one-sided t test over samples, clustered" in text
    assert "One run: this holds for this trained model" in text


@pytest.mark.parametrize("factor", [1e5, 1e-10])
def test_differences_of_large_and_of_tiny_values_are_cut_by_their_error(
    experiments: Path, invoke: Invoke, factor: float
) -> None:
    a, b = [1.23580, 1.23619, 1.23746], [1.12349, 1.12373, 1.12433]
    two_groups(experiments, [factor * x for x in a], [factor * x for x in b])
    found = stats.ttest_rel(a, b)  # its standard error is 0.00024, so five decimals are known
    numbers = (np.mean(a) - np.mean(b), *found.confidence_interval())
    texts = [f"{x * factor:+.0f}" if factor > 1 else f"{x * factor:+.4e}" for x in numbers]
    assert f"{texts[0]} [{texts[1]}, {texts[2]}]" in compare(invoke)


def test_observations_that_were_left_out_as_nan_are_named_beside_every_mean(experiments: Path, invoke: Invoke) -> None:
    for number, (model, seed) in enumerate([("mlp", 0), ("mlp", 1), ("unet", 0), ("unet", 1)]):
        line = record(0.5 + 0.01 * number**2, n=98 + seed)
        line["result"]["n_nan"] = 2 * (model == "mlp")
        write_run(experiments, number, [line], model=model, seed=seed)
    left_out = "4 of 201 observations NaN"  # 98 + 99, and 2 + 2
    out = compare(invoke)
    assert f"A: {left_out} and left out" in out
    assert "B: " not in out.partition("loss: paired")[2]
    table = invoke("table")[1]
    assert table.count("observations NaN") == table.count(f"({left_out})") == 1
    claim = invoke("claim", "model=mlp", "--metric", "loss", "--below", "1")[1]
    assert f"{left_out} and left out." in claim
    groups = json.loads(invoke("table", "--format", "json")[1])["groups"]
    assert [group["measures"]["loss"]["n_observations_nan"] for group in groups] == [4, 0]


def test_a_claim_names_the_runs_and_the_results_that_do_not_count_and_what_it_mixes(
    experiments: Path, invoke: Invoke
) -> None:
    for seed in range(5):
        line = record(0.5 + 0.01 * seed, source={"step": 10, "weights": "raw" if seed == 1 else "ema"})
        step = 20 if seed == 3 else 10
        write_run(experiments, seed, [] if seed == 4 else [line], step=step, model="mlp", seed=seed)
    arguments = ("claim", "model=mlp", "--metric", "loss", "--below", "1")
    code, out, err = invoke(*arguments)
    assert (code, err) == (0, "")
    assert "over 3 runs" in out
    assert "2 runs without a current result are left out." in out
    assert "loss: stale in 1 run of A. Evaluate again: pyml-eval " in out
    assert "Mixed: weights ema (2 runs), raw (1 run)." in out
    content = json.loads(invoke(*arguments, "--format", "json")[1])
    assert (content["n_runs_lacking"], len(content["stale"])) == (2, 1)
    assert content["mixed"] == {"weights": {"ema": 2, "raw": 1}}


def test_a_claim_says_that_archived_runs_are_left_out(experiments: Path, invoke: Invoke) -> None:
    two_groups(experiments, [0.5, 0.6, 0.7], [1.0])
    assert invoke("archive", sorted(path.name for path in experiments.iterdir())[0])[0] == 0
    out, err = invoke("claim", "model=mlp", "--metric", "loss", "--below", "1")[1:]
    assert "over 2 runs" in out
    assert "1 archived run is left out: --archived." in err


@pytest.mark.parametrize(
    ("p_value", "level", "text"),
    [
        (0.0496, 0.95, "0.0496"),
        (0.04996, 0.95, "0.04996"),
        (0.0504, 0.95, "0.0504"),
        (0.05, 0.95, "0.05"),
        (0.0496, 0.9, "0.05"),
        (0.00996, 0.99, "0.00996"),
        (0.23456, 0.95, "0.23"),
        (5e-5, 0.95, "< 0.0001"),
    ],
)
def test_a_p_value_is_never_rounded_across_the_level(p_value: float, level: float, text: str) -> None:
    assert p_text(p_value, level) == text


@pytest.mark.parametrize("shift", [0.0, 3e-5, -3e-5])
def test_no_end_of_an_interval_is_rounded_to_0(experiments: Path, invoke: Invoke, shift: float) -> None:
    a = np.array([0.1, 0.3, 0.2, 0.5])
    half = stats.ttest_1samp(a, 0).confidence_interval().high - a.mean()
    a += half - a.mean() + shift  # the lower end is then the shift
    two_groups(experiments, list(a + 1), [1.0] * 4)
    low = compare(invoke).partition("[")[2].partition("[")[2].partition(",")[0]
    assert float(low) == pytest.approx(shift, rel=0.05)
    assert shift or low == "+0.000" or low == "-0.000"


def test_a_claim_names_its_line_in_full(experiments: Path, invoke: Invoke) -> None:
    two_groups(experiments, [1.1000001, 1.1000002], [1.0])
    out = invoke("claim", "model=mlp", "--metric", "loss", "--below", "1.10000033")[1]
    assert "loss below 1.10000033: " in out
