"""What compare says beside the test: skew, outliers, pairing, failed runs."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from made_runs import LOSS, Invoke, MakeRun
from scipy import stats
from written_runs import record, write_run

from core.utils.results import ScalarResult
from results.comparison.examine import pairing_of
from results.comparison.finding_lines import pairing_text
from results.comparison.replicates import Replicates


def two_groups(make_run: MakeRun, a: list[float], b: list[float], first_seed_b: int = 0) -> None:
    for seed, value in enumerate(a):
        make_run({LOSS: ScalarResult(value, 0.01)}, model="mlp", seed=seed)
    for seed, value in enumerate(b, start=first_seed_b):
        make_run({LOSS: ScalarResult(value, 0.01)}, model="unet", seed=seed)


def findings(invoke: Invoke) -> dict:
    code, out, _ = invoke("compare", "model=mlp", "model=unet", "--format", "json")
    assert code == 0
    return json.loads(out, parse_constant=pytest.fail)["comparisons"][0]["findings"]


def test_pairing_shows_the_correlation_and_what_it_gained(make_run: MakeRun, invoke: Invoke) -> None:
    a, b = [0.30, 0.40, 0.50, 0.60], [0.21, 0.29, 0.40, 0.52]
    two_groups(make_run, a, b)
    found = findings(invoke)["pairing"]
    low, high = stats.ttest_rel(a, b).confidence_interval()
    apart = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert found["correlation"] == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert found["width_ratio"] == pytest.approx((apart.high - apart.low) / (high - low))
    _, out, _ = invoke("compare", "model=mlp", "model=unet")
    ratio = f"{(apart.high - apart.low) / (high - low):.2g}"
    assert f"loss: partners correlate with r = +1.00; pairing makes the interval {ratio} times narrower." in out


def test_the_correlation_of_tiny_values_is_known(make_run: MakeRun, invoke: Invoke) -> None:
    a, b = [0.30, 0.40, 0.50, 0.60], [0.21, 0.32, 0.40, 0.49]
    two_groups(make_run, [2.0**-990 * x for x in a], [2.0**-990 * x for x in b])
    assert findings(invoke)["pairing"]["correlation"] == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_a_group_whose_runs_are_all_equal_is_said_to_add_nothing_to_the_error(
    make_run: MakeRun, invoke: Invoke
) -> None:
    a, b = [0.9, 0.9, 0.9], [0.80, 0.81, 0.83]
    two_groups(make_run, a, b, first_seed_b=10)
    code, out, _ = invoke("compare", "model=mlp", "model=unet")
    assert code == 0
    of_b = stats.ttest_1samp(b, 0).confidence_interval()  # Welch's test, with 0 for the error of A
    assert f"[{0.9 - of_b.high:+.4f}, {0.9 - of_b.low:+.4f}]" in out
    assert "the runs of A are all equal, so the error is that of the other runs alone" in out


def test_pairing_of_partners_that_move_against_each_other_loses(make_run: MakeRun, invoke: Invoke) -> None:
    two_groups(make_run, [0.3, 0.4, 0.5, 0.6], [0.62, 0.5, 0.41, 0.3])
    _, out, _ = invoke("compare", "model=mlp", "model=unet")
    assert "loss: partners correlate with r = -1.00; pairing makes the interval 1.8 times wider." in out


def test_runs_that_are_not_paired_say_nothing_of_pairing(make_run: MakeRun, invoke: Invoke) -> None:
    two_groups(make_run, [0.3, 0.4, 0.5], [0.6, 0.5, 0.41], first_seed_b=10)
    assert findings(invoke)["pairing"] is None


def test_two_pairs_have_no_correlation() -> None:
    found = pairing_of(Replicates((0.3, 0.4), (0.6, 0.5), (0, 1)), 0.95)
    assert found is not None
    assert math.isnan(found.correlation)
    assert pairing_text(found).startswith("pairing makes the interval")


def test_pairs_that_do_not_vary_have_no_pairing_to_speak_of() -> None:
    assert pairing_of(Replicates((0.3, 0.4, 0.5), (0.2, 0.3, 0.4), ()), 0.95) is None
    assert pairing_of(Replicates((0.25, 0.5), (0.5, 0.75), (0, 1)), 0.95) is None


def test_a_skewed_group_is_warned_of_with_a_way_out(make_run: MakeRun, invoke: Invoke) -> None:
    skewed = list(np.exp(np.linspace(-2.0, 2.0, 20)))
    two_groups(make_run, [0.3, 0.4, 0.5, 0.35, 0.42], skewed, first_seed_b=10)
    _, out, _ = invoke("compare", "model=mlp", "model=unet")
    assert "loss: B looks skewed to high values, so the t interval may cover less than its nominal level; see" in out
    assert "too few to tell" not in out


def test_the_seed_of_an_outlier_is_named(make_run: MakeRun, invoke: Invoke) -> None:
    two_groups(make_run, [0.30, 0.31, 0.32, 0.30, 0.31, 0.95], [0.2, 0.21, 0.22, 0.2, 0.21, 0.22])
    assert findings(invoke)["outliers"] == {"A - B": 5}
    _, out, _ = invoke("compare", "model=mlp", "model=unet")
    assert "loss: A - B has an outlier (seed 5), so the t interval" in out


def test_few_runs_that_look_normal_are_said_to_be_too_few(make_run: MakeRun, invoke: Invoke) -> None:
    two_groups(make_run, [0.3, 0.4, 0.5], [0.2, 0.29, 0.43])
    _, out, _ = invoke("compare", "model=mlp", "model=unet")
    assert "Skew and outliers: 3 runs are too few to tell (a strong skew shows from 15 runs on)." in out


@pytest.mark.parametrize("diverged", [math.nan, math.inf])
def test_a_diverged_run_is_left_out_and_the_shares_of_failures_are_compared(
    make_run: MakeRun, invoke: Invoke, diverged: float
) -> None:
    two_groups(make_run, [0.3, 0.31, diverged, 0.33], [0.2, 0.22, 0.25, 0.21])
    make_run(state="failed", model="mlp", seed=9)
    make_run(state="interrupted", model="unet", seed=9)  # stopped by hand or by Slurm: no failure of the model
    assert findings(invoke)["failures"] == {
        "failed_a": 2,
        "n_a": 5,
        "failed_b": 0,
        "n_b": 4,
        "p_value": pytest.approx(stats.fisher_exact([[2, 3], [0, 4]]).pvalue),
    }
    code, out, _ = invoke("compare", "model=mlp", "model=unet")
    assert code == 0
    assert "A is better" in out or "B is better" in out
    assert "loss: paired over seeds, 3 pairs; runs without a partner left out: 1 of B; 1 of A's runs not finite" in out
    assert "failed: 2 of 5 runs of A against 0 of 4 of B (Fisher's exact test, p = 0.44)" in out
    assert "means are over the runs that did not fail" in out


def test_a_group_in_which_all_runs_diverged_has_no_mean_but_a_share_of_failures(
    make_run: MakeRun, invoke: Invoke
) -> None:
    two_groups(make_run, [math.nan] * 5, [0.2, 0.22, 0.25, 0.21, 0.23])
    code, out, _ = invoke("compare", "model=mlp", "model=unet")
    assert code == 0
    assert "cannot tell" in out
    assert "failed: 5 of 5 runs of A against 0 of 5 of B (Fisher's exact test, p = 0.0079)" in out


def test_without_a_failure_nothing_is_said_of_failures(make_run: MakeRun, invoke: Invoke) -> None:
    two_groups(make_run, [0.3, 0.31, 0.33], [0.2, 0.22, 0.25])
    assert findings(invoke)["failures"] is None


def test_a_group_of_only_failed_runs_has_a_share_of_failures(experiments: Path, invoke: Invoke) -> None:
    for seed in range(5):
        write_run(experiments, seed, [], state="failed", model="mlp", seed=seed)
        write_run(experiments, 10 + seed, [record(0.3 + 0.01 * seed)], model="unet", seed=seed)
    p = stats.fisher_exact([[5, 0], [0, 5]]).pvalue
    code, out, _ = invoke("compare", "model=mlp", "model=unet")
    assert code == 0
    assert f"Failed: 5 of 5 runs of A against 0 of 5 of B (Fisher's exact test, p = {p:.2g})." in out
    assert "No result to compare: A has no finished run." in out
    _, out, _ = invoke("compare", "model=unet", "model=mlp", "--format", "json")
    (only,) = json.loads(out)["only_failures"]
    assert (only["failed_a"], only["failed_b"], only["p_value"]) == (0, 5, pytest.approx(p))


def test_other_groups_are_still_compared_beside_one_of_only_failed_runs(experiments: Path, invoke: Invoke) -> None:
    for seed in range(3):
        write_run(experiments, seed, [record(0.1 * seed)], model="mlp", seed=seed)
        write_run(experiments, 10 + seed, [], state="failed", model="tri", seed=seed)
        write_run(experiments, 20 + seed, [record(0.3 + 0.2 * seed)], model="unet", seed=seed)
    code, out, _ = invoke("compare", "model=mlp", "model=tri", "model=unet")
    assert code == 0
    assert "Failed: 0 of 3 runs of A against 3 of 3 of B" in out
    assert "loss: paired over seeds, 3 pairs" in out


def test_a_seed_that_failed_twice_is_one_failure_and_one_that_finished_later_is_none(
    experiments: Path, invoke: Invoke
) -> None:
    for seed in range(4):
        write_run(experiments, seed, [record(0.1 * seed)], model="mlp", seed=seed)
        write_run(experiments, 10 + seed, [record(0.3 + 0.2 * seed)], model="unet", seed=seed)
    for number in (20, 21):
        write_run(experiments, number, [], state="failed", model="mlp", seed=9)
    write_run(experiments, 22, [], state="failed", model="unet", seed=0)
    write_run(experiments, 23, [], state="failed", step=None, model="unet", seed=8)  # before its first step
    assert "failed: 1 of 5 runs of A against 0 of 4 of B" in invoke("compare", "model=mlp", "model=unet")[1]


def test_runs_that_failed_before_their_first_step_are_named(experiments: Path, invoke: Invoke) -> None:
    write_run(experiments, 0, [record(0.3)], model="mlp", seed=0)
    write_run(experiments, 1, [], state="failed", step=None, model="unet", seed=0)
    code, _, err = invoke("compare", "model=mlp", "model=unet")
    assert code == 2
    assert "'model=unet': 1 run, which failed before the first step" in err
