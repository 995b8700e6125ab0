"""What values per sample add to a comparison: two levels over seeds and samples, and clusters."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from made_runs import LOSS, Invoke, MakeRun, log
from scipy import stats

from core.runs import Run
from core.runs.sample_values import read_clusters, save_values
from core.utils.results import ResultMetadata, ScalarResult
from results.statistics.clusters import clustered_mean
from results.statistics.two_level import two_level_difference, two_level_mean


def with_values(make_run: MakeRun, values: np.ndarray, clusters: list[int] | None = None, **config: object) -> Path:
    path = make_run(**config)
    evaluation = log(path, {LOSS: ScalarResult(float(values.mean()), 0.01, len(values))})
    save_values(path, evaluation, "denoising", range(len(values)), values, LOSS, clusters)
    return path


def groups(make_run: MakeRun, a: np.ndarray, b: np.ndarray, first_seed_b: int = 0) -> None:
    for model, rows, first in (("mlp", a, 0), ("unet", b, first_seed_b)):
        for seed, row in enumerate(rows, start=first):
            with_values(make_run, row, model=model, seed=seed)


def compare(invoke: Invoke, *options: str) -> tuple[str, dict]:
    code, out, err = invoke("compare", "model=mlp", "model=unet", *options)
    assert (code, err) == (0, "")
    _, content, _ = invoke("compare", "model=mlp", "model=unet", "--format", "json", *options)
    return out, json.loads(content, parse_constant=pytest.fail)["comparisons"][0]


def draw(seed: int, n_seeds: int, shift: float) -> np.ndarray:
    """Values of one group: the samples are those of every other group, the seeds are its own."""
    rng = np.random.default_rng(seed)
    samples = np.random.default_rng(99).normal(size=(1, 12))
    own = rng.normal(0, 0.5, size=(1, 12))
    return 3 + shift + samples + own + rng.normal(0, 0.1, size=(n_seeds, 1)) + rng.normal(0, 0.2, size=(n_seeds, 12))


def test_pairs_over_seeds_get_the_estimate_of_new_seeds_and_new_samples(make_run: MakeRun, invoke: Invoke) -> None:
    a, b = draw(1, 4, 0.5), draw(2, 4, 0.0)
    groups(make_run, a, b)
    expected = two_level_mean(a - b)
    out, one = compare(invoke)
    levels = one["findings"]["levels"]
    assert levels["difference"] == pytest.approx(float(expected.estimate))
    assert (levels["ci_low"], levels["ci_high"]) == pytest.approx((float(expected.ci_low), float(expected.ci_high)))
    assert levels["from_seeds"] + levels["from_samples"] + levels["from_both"] == pytest.approx(1)
    assert levels["from_samples"] == pytest.approx(float(expected.sample_part / expected.error**2))
    assert levels["more_helps"] == "more samples"
    assert "loss: over new seeds and new samples (4 seeds × 12 shared samples) A - B is +0" in out
    assert "from seed and sample together: more samples would help more." in out


def test_groups_with_other_seeds_share_the_samples(make_run: MakeRun, invoke: Invoke) -> None:
    a, b = draw(1, 3, 0.5), draw(2, 5, 0.0)
    groups(make_run, a, b, first_seed_b=20)
    expected = two_level_difference(a, b)
    out, one = compare(invoke)
    assert one["findings"]["levels"]["error"] == pytest.approx(float(expected.error))
    assert "(3 and 5 seeds × 12 shared samples)" in out


def test_without_values_of_every_run_there_is_no_two_level_estimate(make_run: MakeRun, invoke: Invoke) -> None:
    groups(make_run, draw(1, 3, 0.5), draw(2, 2, 0.0))
    make_run({LOSS: 3.1}, model="unet", seed=2)
    assert compare(invoke)[1]["findings"]["levels"] is None


def test_only_samples_that_every_run_has_are_used(make_run: MakeRun, invoke: Invoke) -> None:
    a, b = draw(1, 3, 0.5), draw(2, 3, 0.0)
    groups(make_run, a, b[:2])
    with_values(make_run, b[2, :9], model="unet", seed=2)
    _, one = compare(invoke)
    assert one["findings"]["levels"]["n_samples"] == 9
    assert one["findings"]["levels"]["error"] == pytest.approx(float(two_level_mean((a - b)[:, :9]).error))


def test_samples_of_two_runs_are_clustered_by_their_ids(make_run: MakeRun, invoke: Invoke) -> None:
    rng = np.random.default_rng(3)
    clusters = [i // 4 for i in range(40)]
    difference = np.repeat(rng.normal(0.2, 0.3, size=10), 4) + rng.normal(0, 0.1, size=40)
    b = rng.normal(size=40)
    with_values(make_run, b + difference, clusters, model="mlp", seed=0)
    with_values(make_run, b, clusters, model="unet", seed=0)
    expected = clustered_mean(difference, clusters)
    out, one = compare(invoke)
    test = one["test"]
    assert (test["method"], test["n_a"], test["df"]) == ("paired over samples, clustered", 40, 9)
    assert test["error"] == pytest.approx(expected.error)
    assert test["p_value"] == pytest.approx(2 * stats.t.sf(abs(expected.mean / expected.error), 9))
    assert test["ci_high"] == pytest.approx(expected.mean + stats.t.ppf(0.975, 9) * expected.error)
    assert one["p_adjusted"] == pytest.approx(test["p_value"])
    factor = f"{expected.error / expected.plain_error:.2g}"
    assert f"40 samples in 10 clusters; the clustered standard error is {factor} times that of independent" in out


def test_clusters_that_the_runs_disagree_about_are_not_used(make_run: MakeRun, invoke: Invoke) -> None:
    values = np.random.default_rng(4).normal(size=(2, 8))
    with_values(make_run, values[0], [0, 0, 1, 1, 2, 2, 3, 3], model="mlp", seed=0)
    with_values(make_run, values[1], [0, 1, 0, 1, 2, 2, 3, 3], model="unet", seed=0)
    _, one = compare(invoke)
    assert one["findings"]["clusters"] is None
    assert "the runs put samples into different clusters, so the clusters are not used" in one["test"]["note"]


def test_one_cluster_gives_no_error_and_no_answer(make_run: MakeRun, invoke: Invoke) -> None:
    values = np.random.default_rng(5).normal(size=(2, 8))
    for model, row in zip(("mlp", "unet"), values, strict=True):
        with_values(make_run, row, [7] * 8, model=model, seed=0)
    out, one = compare(invoke)
    assert (one["answer"], one["test"]["p_value"]) == ("cannot tell", None)
    assert "8 samples in 1 cluster." in out


def test_cluster_ids_are_kept_beside_the_values_as_integers(tmp_path: Path) -> None:
    save_values(tmp_path, "eval-1", "quiz", [3, 4, 9], np.array([0.0, 1.0, 1.0]), LOSS, [7, 7, 8])
    with np.load(tmp_path / "values" / "eval-1" / "quiz.npz") as file:
        assert file["cluster_id"].dtype == np.int64
    assert read_clusters(tmp_path, "eval-1", LOSS) == {3: 7, 4: 7, 9: 8}
    assert read_clusters(tmp_path, "eval-1", ResultMetadata("other")) is None
    save_values(tmp_path, "eval-2", "quiz", [3, 4], np.array([0.0, math.nan]), LOSS)
    assert read_clusters(tmp_path, "eval-2", LOSS) is None


def test_a_cluster_id_too_few_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cluster_ids: got shape \(1,\) for 2 samples; accepted: one per sample"):
        save_values(tmp_path, "eval-1", "quiz", [3, 4], np.array([0.0, 1.0]), LOSS, [7])
    with pytest.raises(TypeError, match="cluster_ids: got an array of float64; accepted: integers"):
        save_values(tmp_path, "eval-1", "quiz", [3, 4], np.array([0.0, 1.0]), LOSS, [0.5, 1.0])
    assert list(tmp_path.iterdir()) == []


def test_over_seeds_the_two_level_estimate_allows_for_clusters(make_run: MakeRun, invoke: Invoke) -> None:
    clusters = [0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 4]
    a, b = draw(1, 4, 0.5), draw(2, 4, 0.0)
    for model, rows in (("mlp", a), ("unet", b)):
        for seed, row in enumerate(rows):
            with_values(make_run, row, clusters, model=model, seed=seed)
    d = a - b  # by hand: each cluster's sum of deviations from the row's mean, times clusters / samples
    mean = d.mean(axis=1, keepdims=True)
    columns = [mean[:, 0] + 5 / 12 * (d - mean)[:, np.equal(clusters, c)].sum(axis=1) for c in range(5)]
    expected = two_level_mean(np.stack(columns, axis=1))
    out, one = compare(invoke)
    levels = one["findings"]["levels"]
    assert (levels["n_samples"], levels["n_clusters"]) == (12, 5)
    assert levels["difference"] == pytest.approx(d.mean())
    assert levels["error"] == pytest.approx(float(expected.error))
    assert "(4 seeds × 12 shared samples in 5 clusters)" in out


def test_a_run_with_other_clusters_turns_them_off_for_all(make_run: MakeRun, invoke: Invoke) -> None:
    a, b = draw(1, 2, 0.5), draw(2, 2, 0.0)
    for model, rows in (("mlp", a), ("unet", b)):
        for seed, row in enumerate(rows):
            clusters = [i // 4 for i in range(12)] if seed or model == "mlp" else list(range(12))
            with_values(make_run, row, clusters, model=model, seed=seed)
    levels = compare(invoke)[1]["findings"]["levels"]
    assert levels["n_clusters"] is None
    assert levels["error"] == pytest.approx(float(two_level_mean(a - b).error))


def test_showing_a_run_gives_the_clustered_error_where_the_recorded_one_takes_samples_for_independent(
    make_run: MakeRun, invoke: Invoke
) -> None:
    values, clusters = np.repeat([3.0, 3.4, 2.9, 3.1, 3.6], 4), [i // 4 for i in range(20)]
    with_values(make_run, values, clusters)
    _, out, _ = invoke("runs", "show", "latest")
    error = np.std([3.0, 3.4, 2.9, 3.1, 3.6], ddof=1) / math.sqrt(5)  # 0.129: each cluster is one observation
    assert f"3.20 ± {error:.2f} (n=5 clusters)" in out
    log(make_run(seed=5), {LOSS: ScalarResult(3.2, float(error), 5)})
    assert "Clustered errors" not in invoke("runs", "show", "latest")[1]


def test_a_recorded_error_that_is_clustered_needs_no_other(experiments: Path, invoke: Invoke) -> None:
    clusters = [i // 4 for i in range(20)]
    with Run({"model": "mlp", "seed": 0}, experiments_dir=experiments) as run:
        run.log_result("loss", np.arange(20.0), unit="image", cluster_ids=clusters)
        run.save_values("loss", range(20), np.arange(20.0), cluster_ids=clusters)
    _, out, _ = invoke("runs", "show", "latest")
    assert "Clustered errors" not in out
    expected = clustered_mean(np.arange(20.0), clusters)
    assert f"± {expected.error:.1f}" in out
