"""Comparisons: paired where there are pairs, refused where protocols differ, and honest about what cannot be told."""

import math
from pathlib import Path

import numpy as np
import pytest
from made_runs import ACCURACY, LOSS, MakeRun, log
from scipy import stats

from core.config import ConfigError
from core.runs.serialise import unstructure
from core.runs.strict_json import dumps
from core.utils.results import ResultMetadata, ResultRecord, ScalarResult
from results.comparison.comparison import Comparison, compare_groups
from results.comparison.examine import examine
from results.comparison.findings import Failures
from results.database import ResultsDatabase
from results.groups import Group
from results.samples import sample_values
from results.selection import select_group

A = {0: 0.30, 1: 0.34, 2: 0.32, 3: 0.37, 4: 0.31}
B = {0: 0.27, 1: 0.30, 2: 0.29, 3: 0.33, 4: 0.29}


@pytest.fixture
def database(experiments: Path) -> ResultsDatabase:
    experiments.mkdir(exist_ok=True)
    return ResultsDatabase(experiments)


def groups(experiments: Path, *specs: str) -> list[Group]:
    return [select_group(ResultsDatabase(experiments), spec) for spec in specs]


def two_models(make_run: MakeRun, a: dict[int, float], b: dict[int, float], metadata: ResultMetadata = LOSS) -> None:
    for model, values in (("mlp", a), ("unet", b)):
        for seed, value in values.items():
            make_run({metadata: value}, model=model, seed=seed)


def only(experiments: Path, method: str = "auto") -> Comparison:
    (comparison,), refused = compare_groups(groups(experiments, "model=mlp", "model=unet"), method=method)
    assert refused == []
    return comparison


def test_runs_that_share_seeds_are_paired(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, B)
    found = only(experiments)
    wanted = stats.ttest_rel(list(A.values()), list(B.values()))
    assert (found.test.method, found.test.unit, found.test.n_a) == ("paired over seeds", "runs", 5)
    assert found.test.p_value == pytest.approx(wanted.pvalue)
    assert found.test.difference == pytest.approx(0.032)
    interval = wanted.confidence_interval()
    assert (found.test.ci_low, found.test.ci_high) == pytest.approx((interval.low, interval.high))
    assert found.answer == "B is better"  # a loss: lower is better


def test_runs_without_shared_seeds_get_welchs_test(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, {seed + 10: value for seed, value in B.items()})
    found = only(experiments)
    wanted = stats.ttest_ind(list(A.values()), list(B.values()), equal_var=False)
    assert (found.test.method, found.test.n_a, found.test.n_b) == ("Welch over runs", 5, 5)
    assert found.test.p_value == pytest.approx(wanted.pvalue)
    assert found.answer == "cannot tell"
    assert found.winner is None


@pytest.mark.parametrize(
    ("seeds_a", "seeds_b", "method", "note"),
    [
        ([0, 1, 2, 3], [0, 1, 2], "paired over seeds", "runs without a partner left out: 1 of A"),
        ([0, 1, 2, 3], [2, 3, 4, 5], "paired over seeds", "runs without a partner left out: 2 of A, 2 of B"),
        ([0, 1, 2, 3, 4], [3, 4, 5, 6, 7], "Welch over runs", ""),
        ([0, 1, 2, 3], [3, 4], "Welch over runs", ""),
    ],
)
def test_pairing_needs_half_of_the_larger_groups_seeds(
    make_run: MakeRun, experiments: Path, seeds_a: list[int], seeds_b: list[int], method: str, note: str
) -> None:
    two_models(make_run, {s: 0.3 + 0.01 * s * s for s in seeds_a}, {s: 0.2 + 0.02 * s for s in seeds_b})
    found = only(experiments)
    assert (found.test.method, found.test.note) == (method, note)


def test_a_method_can_be_asked_for_and_is_refused_where_it_cannot_be(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, B)
    assert only(experiments, "welch").test.method == "Welch over runs"
    with pytest.raises(ConfigError, match="--test samples needs exactly one run on each side"):
        only(experiments, "samples")
    one = groups(experiments, "model=mlp, seed=0", "model=unet, seed=1")
    with pytest.raises(ConfigError, match=r"two seeds that both groups have; they share 0"):
        compare_groups(one, method="paired")
    with pytest.raises(ConfigError, match="needs two runs of each group"):
        compare_groups(one, method="welch")


def test_what_cannot_be_told_names_what_could_have_been(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, {seed: value + (0.02 if seed % 2 else -0.03) for seed, value in A.items()})
    found = only(experiments)
    assert found.answer == "cannot tell"
    assert found.test.ci_low < 0 < found.test.ci_high
    # a true difference of that size is found in 80% of such experiments
    rng = np.random.default_rng(0)
    sd = found.test.error * math.sqrt(5)
    p = stats.ttest_1samp(rng.normal(found.detectable, sd, size=(20_000, 5)), 0, axis=-1).pvalue
    assert np.mean(p < 0.05) == pytest.approx(0.8, abs=0.015)


def test_detection_names_seeds_per_group_and_how_sure_that_is(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, {seed: value + (0.02 if seed % 2 else -0.03) for seed, value in A.items()})
    needed, few, many = only(experiments).runs_needed(0.01)
    assert few < needed < many
    rng = np.random.default_rng(1)
    sd = only(experiments).test.error * math.sqrt(5)
    p = stats.ttest_1samp(rng.normal(0.01, sd, size=(4_000, int(needed))), 0, axis=-1).pvalue
    assert np.mean(p < 0.05) == pytest.approx(0.8, abs=0.03)
    welch = only(experiments, "welch").runs_needed(0.01)
    assert welch[0] > needed  # these pairs are correlated


def test_an_interval_can_rule_a_difference_out(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, {seed: value + (0.002 if seed % 2 else -0.003) for seed, value in A.items()})
    found = only(experiments)
    assert found.answer == "cannot tell"
    assert found.excludes(0.01)
    assert not found.excludes(0.001)


def test_a_direction_decides_who_is_better(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, B, ACCURACY)
    assert only(experiments).answer == "A is better"


def test_without_a_direction_only_higher_can_be_said(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, B, ResultMetadata("size"))
    assert only(experiments).answer == "A is higher"


def test_equal_results_are_no_difference_at_all(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, A)
    assert only(experiments).answer == "no difference at all"


def test_single_runs_are_compared_by_their_errors_and_for_these_two_models_only(
    make_run: MakeRun, experiments: Path
) -> None:
    two_models(make_run, {0: 0.50}, {0: 0.30})
    found = only(experiments)
    assert (found.test.method, found.test.unit, found.test.n_a) == ("Welch over samples", "image", 359)
    sd = 0.01 * math.sqrt(359)
    wanted = stats.ttest_ind_from_stats(0.5, sd, 359, 0.3, sd, 359, equal_var=False)
    assert found.test.p_value == pytest.approx(wanted.pvalue)
    assert found.answer == "B is better (these two runs)"
    assert "not for other seeds" in found.test.note
    assert all(map(math.isnan, found.runs_needed(0.1)))
    assert math.isnan(found.over_a.summary.error)


def save_values(run_path: Path, evaluation: str, values: list[float], ids: list[int], metadata: ResultMetadata) -> None:
    """Write per-sample values in the shape that core's evaluators write."""
    path = run_path / "values" / evaluation / "denoising.npz"
    path.parent.mkdir(parents=True)
    np.savez(
        path,
        sample_id=np.asarray(ids, dtype=np.int64),
        value=np.asarray(values, dtype=np.float64),
        metadata=np.array(dumps(unstructure(metadata))),
    )


def test_single_runs_with_values_per_sample_are_paired_over_shared_samples(
    make_run: MakeRun, experiments: Path
) -> None:
    rng = np.random.default_rng(2)
    hard = rng.normal(1.0, 0.5, size=50)
    values = [hard + 0.05 + rng.normal(0, 0.05, size=50), hard + rng.normal(0, 0.05, size=50)]
    for model, of_model, ids in (("mlp", values[0], range(50)), ("unet", values[1][::-1], range(49, -1, -1))):
        path = make_run({LOSS: ScalarResult(float(of_model.mean()), 0.07, n=50)}, model=model)
        save_values(path, "eval-0001", list(of_model), list(ids), LOSS)
    found = only(experiments)
    wanted = stats.ttest_rel(values[0], values[1])
    assert (found.test.method, found.test.n_a) == ("paired over samples", 50)
    assert found.test.p_value == pytest.approx(wanted.pvalue)
    assert found.answer == "B is better (these two runs)"
    assert found.test.p_value < 1e-4 < welch_of_the_same(values)


def welch_of_the_same(values: list[np.ndarray]) -> float:
    return float(stats.ttest_ind(values[0], values[1], equal_var=False).pvalue)


def test_values_count_only_for_the_evaluation_and_metadata_of_the_result(make_run: MakeRun, experiments: Path) -> None:
    path = make_run({LOSS: 0.5})
    save_values(path, "eval-0001", [0.4, 0.6], [0, 1], LOSS)
    run = ResultsDatabase(experiments).find("latest")
    assert sample_values(run, LOSS) == {0: 0.4, 1: 0.6}
    assert sample_values(run, ACCURACY) is None
    log(path, {LOSS: 0.7})  # newer, and kept no values
    assert sample_values(ResultsDatabase(experiments).find("latest"), LOSS) is None


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 torn"])
def test_values_that_cannot_be_read_are_none(make_run: MakeRun, experiments: Path, content: bytes) -> None:
    path = make_run({LOSS: 0.5})
    save_values(path, "eval-0001", [0.4, 0.6], [0, 1], LOSS)
    (path / "values" / "eval-0001" / "denoising.npz").write_bytes(content)
    assert sample_values(ResultsDatabase(experiments).find("latest"), LOSS) is None


def test_values_that_would_need_pickle_are_never_loaded(make_run: MakeRun, experiments: Path) -> None:
    path = make_run({LOSS: 0.5})
    (path / "values" / "eval-0001").mkdir(parents=True)
    np.savez(
        path / "values" / "eval-0001" / "x.npz",
        sample_id=np.array([0, 1]),
        value=np.array([object(), object()]),
        metadata=np.array(dumps(unstructure(LOSS))),
    )
    assert sample_values(ResultsDatabase(experiments).find("latest"), LOSS) is None


def test_one_run_against_many_cannot_be_told_and_the_lone_one_is_named(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, {0: 0.9}, B)
    found = only(experiments)
    assert (found.test.method, found.answer) == ("none", "cannot tell")
    assert found.test.note == "A: one run, so the error over runs is unknown"
    assert math.isnan(found.detectable)


def test_a_nan_result_leaves_its_run_out_and_counts_as_a_failure(make_run: MakeRun, experiments: Path) -> None:
    for model, shift in (("mlp", 0.0), ("unet", 0.1)):
        for seed in range(4):
            loss = math.nan if (model, seed) == ("mlp", 2) else 0.3 + shift + 0.001 * seed * seed
            make_run({LOSS: ScalarResult(loss), ACCURACY: 0.5 + shift + 0.001 * seed**3}, model=model, seed=seed)
    comparisons, _ = compare_groups(groups(experiments, "model=mlp", "model=unet"))
    loss, accuracy = comparisons
    assert (loss.test.n_a, loss.over_a.summary.n, loss.over_a.n_not_finite) == (3, 3, 1)
    assert loss.over_a.summary.mean == pytest.approx((0.3 + 0.301 + 0.309) / 3)
    assert accuracy.test.n_a == 4
    loss, accuracy = examine(comparisons)
    assert (loss.findings.failures, accuracy.findings.failures) == (Failures(1, 4, 0, 4, pytest.approx(1.0)), None)


def test_the_correction_does_not_count_what_cannot_be_tested(make_run: MakeRun, experiments: Path) -> None:
    for model, shift in (("mlp", 0.0), ("unet", 0.1)):
        for seed in range(4):
            loss = {} if (model, seed) in {("mlp", 1), ("mlp", 2), ("mlp", 3)} else {LOSS: 0.3}
            make_run({**loss, ACCURACY: 0.5 + shift * (1 + 0.01 * seed)}, model=model, seed=seed)
    comparisons, _ = compare_groups(groups(experiments, "model=mlp", "model=unet"))
    accuracy, loss = sorted(comparisons, key=lambda one: one.label)
    assert math.isnan(loss.test.p_value)
    assert accuracy.p_adjusted == accuracy.test.p_value


def test_many_comparisons_are_corrected(make_run: MakeRun, experiments: Path) -> None:
    rng = np.random.default_rng(3)
    names = [ResultMetadata(f"m{i}", higher_is_better=True) for i in range(6)]
    for model in ("mlp", "unet"):
        for seed in range(4):
            make_run({name: float(rng.normal()) for name in names}, model=model, seed=seed)
    comparisons, _ = compare_groups(groups(experiments, "model=mlp", "model=unet"))
    assert [one.p_adjusted for one in comparisons] == pytest.approx(
        [min(1.0, 6 * one.test.p_value) for one in comparisons]
    )


def test_what_is_equal_in_every_run_costs_the_others_nothing(make_run: MakeRun, experiments: Path) -> None:
    floor = ResultMetadata("floor", higher_is_better=False)
    for model, values in (("mlp", A), ("unet", B)):
        for seed, value in values.items():
            make_run({LOSS: value, floor: 1.5}, model=model, seed=seed)
    loss, equal = compare_groups(groups(experiments, "model=mlp", "model=unet"))[0]
    assert loss.p_adjusted == loss.test.p_value
    assert (equal.answer, math.isnan(equal.p_adjusted)) == ("no difference at all", True)


def test_results_of_different_protocols_are_refused(make_run: MakeRun, experiments: Path) -> None:
    for model, split in (("mlp", "train"), ("unet", "held_out")):
        about = ResultMetadata("loss", protocol={"split": split, "n": 5})
        for seed in range(3):
            make_run({about: 0.1 * seed, ACCURACY: 0.1 * seed * seed + len(model)}, model=model, seed=seed)
    chosen = groups(experiments, "model=mlp", "model=unet")
    comparisons, refused = compare_groups(chosen)
    assert [one.label for one in comparisons] == ["accuracy"]
    assert refused == ["loss: not compared, because the protocols differ: split train against held_out."]
    with pytest.raises(ConfigError, match=r"loss: not compared, because the protocols differ: split train against"):
        compare_groups(chosen, ["loss"])


def test_different_numbers_of_sampler_steps_are_compared_and_said(make_run: MakeRun, experiments: Path) -> None:
    for model, n_steps in (("mlp", 9), ("unet", 18)):
        for seed in range(3):
            make_run({ResultMetadata("frechet", n_steps=n_steps): 0.1 * seed**2 + n_steps}, model=model, seed=seed)
    assert only(experiments).note == "n_steps 9 against 18"


def test_times_are_compared_only_when_asked_for(make_run: MakeRun, experiments: Path) -> None:
    time = ResultMetadata("time/train")
    for model in ("mlp", "unet"):
        for seed in range(3):
            make_run({LOSS: 0.1 * seed, time: 1.0 + seed}, model=model, seed=seed)
    chosen = groups(experiments, "model=mlp", "model=unet")
    assert [one.label for one in compare_groups(chosen)[0]] == ["loss"]
    assert [one.label for one in compare_groups(chosen, ["time/*"])[0]] == ["time/train"]


def test_measures_in_common_are_needed(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.3}, model="mlp")
    make_run({ACCURACY: 0.3}, model="unet")
    chosen = groups(experiments, "model=mlp", "model=unet")
    with pytest.raises(ConfigError, match="no measure in common"):
        compare_groups(chosen)
    with pytest.raises(ConfigError, match="loss: only A has it"):
        compare_groups(chosen, ["loss"])
    with pytest.raises(ConfigError, match=r"unknown measure 'los'. Did you mean 'loss'\?"):
        compare_groups(chosen, ["los"])


def test_a_run_is_not_compared_with_itself(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, B)
    with pytest.raises(ConfigError, match=r"run .* is in both 'model=mlp' and"):
        compare_groups(groups(experiments, "model=mlp", "model=mlp, seed<9"))


def test_a_group_without_a_finished_run_cannot_be_compared(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, {})
    make_run(model="unet", state="failed")
    with pytest.raises(ConfigError, match=r"model=unet: no finished run to compare \(1 failed\)"):
        compare_groups(groups(experiments, "model=mlp", "model=unet"))


def test_conditions_have_to_name_one_group(make_run: MakeRun, experiments: Path) -> None:
    for rate in (0.5, 0.25):
        make_run({LOSS: rate}, learning_rate=rate)
    with pytest.raises(ConfigError, match=r"matches 2 groups.*learning_rate \(0.5 or 0.25\).*, learning_rate=0.5'"):
        groups(experiments, "model=mlp")
    (group,) = groups(experiments, "model=mlp and learning_rate=0.25")
    assert len(group.runs) == 1
    with pytest.raises(ConfigError, match=r"none of the 2 runs meets it\. Values of learning_rate: 0\.25, 0\.5\."):
        groups(experiments, "learning_rate>1")
    with pytest.raises(ConfigError, match="'model=mlp seed=0' is one condition; separate conditions by commas"):
        groups(experiments, "model=mlp seed=0")
    with pytest.raises(
        ConfigError, match=r"no run 'mlp'.*Runs can be selected by conditions, too, such as FIELD=VALUE"
    ):
        groups(experiments, "mlp")


def test_a_run_can_stand_for_its_group(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, B)
    database = ResultsDatabase(experiments)
    assert len(select_group(database, "latest").runs) == 1
    group = select_group(database, "latest", whole_group=True)
    assert (len(group.runs), group.label) == (5, "model=unet")


def test_a_record_is_what_the_comparison_rests_on(make_run: MakeRun, experiments: Path) -> None:
    two_models(make_run, A, B)
    record = next(iter(ResultsDatabase(experiments))).results[0]
    assert record == ResultRecord(LOSS, ScalarResult(A[0], 0.01, 359))
