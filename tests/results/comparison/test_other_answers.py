"""compare --robust, --sequential and --equivalent-within, as a user meets them."""

import json
import math

import numpy as np
import pytest
from made_runs import ACCURACY, LOSS, Invoke, MakeRun
from scipy import stats

from core.utils.results import ScalarResult
from results.statistics.power import pairs_needed
from results.statistics.sequential import sequential_t_test

A = [0.31, 0.37, 0.33, 0.42, 0.36, 0.30, 0.40, 0.35]
B = [0.28, 0.35, 0.30, 0.38, 0.35, 0.27, 0.35, 0.33]


def two_groups(make_run: MakeRun, a: list[float], b: list[float], first_seed_b: int = 0) -> None:
    for seed, value in enumerate(a):
        make_run({LOSS: ScalarResult(value, 0.01)}, model="mlp", seed=seed)
    for seed, value in enumerate(b, start=first_seed_b):
        make_run({LOSS: ScalarResult(value, 0.01)}, model="unet", seed=seed)


def text(invoke: Invoke, *options: str) -> str:
    code, out, err = invoke("compare", "model=mlp", "model=unet", *options)
    assert (code, err) == (0, "")
    return out


def first(invoke: Invoke, *options: str) -> dict:
    return json.loads(text(invoke, *options, "--format", "json"), parse_constant=pytest.fail)["comparisons"][0]


def test_robust_pairs_are_answered_by_wilcoxons_test(make_run: MakeRun, invoke: Invoke) -> None:
    two_groups(make_run, A, B)
    one = first(invoke, "--robust")
    differences = np.subtract(A, B)
    exact = stats.wilcoxon(differences.round(9), method=stats.PermutationMethod()).pvalue
    assert one["test"]["p_value"] == pytest.approx(exact)
    assert one["test"]["difference"] == pytest.approx(stats.trim_mean(differences, 0.25))
    assert one["answer"] == "B is better"
    robust = one["findings"]["robust"]
    assert robust["median"][0] == pytest.approx(np.median(differences))
    assert robust["improvement"][0] == pytest.approx(1 - stats.mannwhitneyu(A, B).statistic / 64)  # lower is better
    assert robust["smallest_p_value"] == 2 / 2**8
    assert one["detectable_difference"] is None  # the power of the t test says nothing of this one
    out = text(invoke, "--robust")
    assert "loss: paired over seeds, Wilcoxon's signed-rank test, 8 pairs." in out
    assert f"a run of A is better than one of B with probability {robust['improvement'][0]:.2f}" in out
    assert "interquartile means with percentile bootstrap intervals" in out


def test_robust_groups_without_shared_seeds_are_answered_by_the_mann_whitney_test(
    make_run: MakeRun, invoke: Invoke
) -> None:
    values = np.random.default_rng(1).lognormal(size=8)
    two_groups(make_run, list(values), list(10 * values[:7] + 0.01), first_seed_b=20)
    one = first(invoke, "--robust")
    assert one["test"]["method"] == "Mann-Whitney test over runs"
    assert one["test"]["p_value"] == pytest.approx(stats.mannwhitneyu(values, 10 * values[:7] + 0.01).pvalue)


def test_ranks_that_point_against_the_interquartile_means_name_no_winner(make_run: MakeRun, invoke: Invoke) -> None:
    a = [-17.1, -17.8, -16.7, -17.6, *(1 + 0.1 * i for i in range(11))]
    b = [0.05 * i for i in range(13)]
    ranks = stats.mannwhitneyu(a, b, method="exact")
    assert ranks.pvalue < 0.05
    assert ranks.statistic > len(a) * len(b) / 2  # A ranks higher, although its middle half has the lower mean
    assert stats.trim_mean(a, 0.25) < stats.trim_mean(b, 0.25)
    two_groups(make_run, a, b, first_seed_b=20)
    assert first(invoke, "--robust")["answer"] == "cannot tell"
    assert "the ranks differ, but the interquartile means do not point in the same direction" in text(
        invoke, "--robust"
    )


def test_too_few_runs_for_a_rank_test_are_said_to_be_so(make_run: MakeRun, invoke: Invoke) -> None:
    two_groups(make_run, A[:5], B[:5])
    out = text(invoke, "--robust")
    assert "so few runs cannot give a p-value below 0.062 by ranks" in out
    assert "cannot tell" in out


def test_sequential_pairs_are_answered_by_the_anytime_valid_test(make_run: MakeRun, invoke: Invoke) -> None:
    two_groups(make_run, A, B)
    differences = np.subtract(A, B)
    expected = sequential_t_test(differences)
    resolved_at = int(np.argmax(expected.p_value < 0.05)) + 1
    one = first(invoke, "--sequential")
    assert one["test"]["p_value"] == pytest.approx(expected.p_value[-1])
    assert one["test"]["ci_low"] == pytest.approx(expected.ci_low[-1])
    assert one["findings"]["looks"]["p_values"] == pytest.approx(expected.p_value)
    assert one["answer"] == "B is better"
    out = text(invoke, "--sequential")
    not_needed = f"{8 - resolved_at} more runs of each group were not needed"
    assert f"difference shown from {resolved_at} pairs on; {not_needed}" in out
    assert "hold at every look together" in out
    planned = pairs_needed(0.005, float(np.std(differences, ddof=1)))
    out = text(invoke, "--sequential", "--detect", "0.005")
    assert f"a fixed plan to detect 0.005 with 80% power takes {planned:.0f} seeds of each group" in out
    assert f": {planned - resolved_at:.0f} saved" in out


def test_sequential_runs_without_shared_seeds_are_paired_in_the_order_they_were_made(
    make_run: MakeRun, invoke: Invoke
) -> None:
    two_groups(make_run, A, [*B[:5], 0.5], first_seed_b=20)
    one = first(invoke, "--sequential")
    expected = sequential_t_test(np.subtract(A[:6], [*B[:5], 0.5]))
    assert one["test"]["p_value"] == pytest.approx(expected.p_value[-1])
    assert one["test"]["note"].startswith("2 without a partner yet; later pairs differ")  # 0.5 does
    assert (one["test"]["n_a"], one["test"]["n_b"]) == (6, 6)
    assert (one["a"]["mean"], one["a"]["n_runs"]) == (pytest.approx(np.mean(A[:6])), 6)  # not of the runs that wait
    assert one["a"]["mean"] - one["b"]["mean"] == pytest.approx(one["test"]["difference"])
    assert one["test"]["sd_a"] == pytest.approx(np.std(A[:6], ddof=1))


def test_a_sequential_winner_is_the_side_that_the_interval_shows(make_run: MakeRun, invoke: Invoke) -> None:
    differences = [2.0, 2.2, 1.9, 2.1, 2.3, 2.05, 1.95, -9, -8, -7.5]
    expected = sequential_t_test(differences)
    assert np.mean(differences) < 0 < expected.ci_low[-1] < expected.ci_high[-1]
    two_groups(make_run, differences, [0.0] * 10)
    one = first(invoke, "--sequential")
    assert (one["test"]["ci_low"] > 0, one["answer"]) == (True, "B is better")  # the loss of A is higher
    assert "later pairs differ from earlier ones" in one["test"]["note"]
    arguments = ("claim", "model=mlp", "--metric", "loss", "--above", "0", "--sequential")
    out = invoke(*arguments)[1]
    assert "loss above 0: shown." in out
    assert "Later runs differ from earlier ones" in out


def test_sequential_looks_that_exclude_each_other_show_nothing(make_run: MakeRun, invoke: Invoke) -> None:
    differences = [2.0, 2.01, 2.0, 2.02, 2.01, 2.0, 2.01, 2.0, *[-2.0, -2.01] * 12]
    expected = sequential_t_test(differences)
    assert expected.ci_low[-1] > expected.ci_high[-1]
    two_groups(make_run, differences, [0.0] * len(differences))
    one = first(invoke, "--sequential")
    assert (one["answer"], one["test"]["p_value"], one["test"]["ci_low"]) == ("cannot tell", None, None)
    assert "the pairs are not alike and show nothing" in one["test"]["note"]
    assert "[unknown]" in text(invoke, "--sequential")
    out = invoke("claim", "model=mlp", "--metric", "loss", "--above", "0", "--sequential")[1]
    assert "loss above 0: cannot tell." in out
    assert "so the runs are not alike and show nothing." in out


def test_sequential_pairs_that_differ_by_rounding_only_show_nothing(make_run: MakeRun, invoke: Invoke) -> None:
    a = [0.1 * i for i in range(1, 9)]
    b = [x + 0.05 for x in a]
    assert len({y - x for x, y in zip(a, b, strict=True)}) > 1  # but for rounding, each is 0.05
    two_groups(make_run, a, b)
    one = first(invoke, "--sequential")
    assert (one["answer"], one["test"]["p_value"], one["test"]["error"]) == ("cannot tell", None, None)
    assert "[unknown]" in text(invoke, "--sequential")


def test_a_bound_beyond_the_mean_at_a_low_level_says_nothing_of_later_runs(make_run: MakeRun, invoke: Invoke) -> None:
    two_groups(make_run, A, B)
    out = invoke("claim", "model=mlp", "--metric", "loss", "--below", "1", "--level", "0.3")[1]
    assert "loss below 1: shown." in out
    assert "Later runs differ" not in out


def test_a_sequential_answer_that_is_open_asks_for_more_seeds(make_run: MakeRun, invoke: Invoke) -> None:
    two_groups(make_run, A[:4], [0.30, 0.36, 0.34, 0.40])
    out = text(invoke, "--sequential")
    assert "cannot tell" in out
    assert "loss: no difference shown after 4 pairs; you may add seeds and test again, as often as you like" in out


def test_a_small_difference_is_equivalent_and_a_wide_interval_is_not(make_run: MakeRun, invoke: Invoke) -> None:
    a, b = [0.300, 0.302, 0.299, 0.301], [0.3005, 0.3010, 0.2995, 0.3015]
    two_groups(make_run, a, b)
    one = first(invoke, "--equivalent-within", "0.005")
    differences = np.subtract(a, b)
    tests = [
        stats.ttest_1samp(differences, line, alternative=side).pvalue
        for line, side in ((-0.005, "greater"), (0.005, "less"))
    ]
    assert one["answer"] == "equivalent within ± 0.005"
    assert one["equivalence"]["p_value"] == pytest.approx(max(tests), rel=1e-9)
    assert "equivalent within ± 0.005: the 90% interval [" in text(invoke, "--equivalent-within", "0.005")
    out = text(invoke, "--equivalent-within", "0.0005")
    assert "cannot tell" in out
    assert "not shown to be equivalent within ± 0.0005: the 90% interval [" in out
    assert "finding no difference does not show that there is none" in out


def test_equivalence_of_several_groups_is_corrected_for_their_number(make_run: MakeRun, invoke: Invoke) -> None:
    a, b = [0.300, 0.302, 0.299, 0.301], [0.3005, 0.3010, 0.2995, 0.3015]
    two_groups(make_run, a, b)
    for seed, value in enumerate([0.3002, 0.3035, 0.298, 0.302]):
        make_run({LOSS: ScalarResult(value, 0.01)}, model="third", seed=seed)
    specs = ("model=mlp", "model=unet", "model=third")
    _, content, _ = invoke("compare", *specs, "--equivalent-within", "0.005", "--format", "json")
    answers = [one["equivalence"] for one in json.loads(content)["comparisons"]]
    for answer, other in zip(answers, (b, [0.3002, 0.3035, 0.298, 0.302]), strict=True):
        differences = np.subtract(a, other)
        tests = [
            stats.ttest_1samp(differences, line, alternative=side).pvalue
            for line, side in ((-0.005, "greater"), (0.005, "less"))
        ]
        assert answer["p_adjusted"] == pytest.approx(2 * max(tests), rel=1e-9)
        interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)  # 1 - 2 × 0.05 / 2
        assert (answer["ci_low"], answer["ci_high"]) == pytest.approx(tuple(interval))
        assert answer["is_shown"] == (interval.low > -0.005 and interval.high < 0.005)


def test_a_difference_may_be_real_and_too_small_to_matter(make_run: MakeRun, invoke: Invoke) -> None:
    two_groups(make_run, A, B)
    assert first(invoke, "--equivalent-within", "0.1")["answer"] == "B is better, but equivalent within ± 0.1"


def test_single_runs_cannot_be_shown_to_be_equivalent(make_run: MakeRun, invoke: Invoke) -> None:
    make_run({LOSS: ScalarResult(0.3, math.nan)}, model="mlp")
    make_run({LOSS: ScalarResult(0.3, math.nan)}, model="unet")
    out = text(invoke, "--equivalent-within", "0.1")
    assert "equivalence within ± 0.1 cannot be tested: the spread of the difference is unknown." in out


@pytest.mark.parametrize("option", ["--robust", "--sequential"])
def test_single_runs_have_no_robust_and_no_sequential_answer(make_run: MakeRun, invoke: Invoke, option: str) -> None:
    two_groups(make_run, [0.3], [0.4])
    one = first(invoke, option)
    assert (one["findings"]["robust"], one["findings"]["looks"]) == (None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--robust", "--sequential"], "--robust and --sequential are different tests; choose one."),
        (["--equivalent-within", "0.1", "--robust"], "--equivalent-within and --robust are different tests"),
        (["--equivalent-within", "0"], "--equivalent-within: got 0; accepted: a positive number"),
        (["--equivalent-within", "nan"], "--equivalent-within: got nan"),
        (["--equivalent-within", "0.1"], "--equivalent-within is in the unit of one measure; name it with --metric."),
        (["--sequential", "--test", "samples"], "--sequential tests runs, so --test samples does not go with it."),
    ],
)
def test_wrong_usage_exits_2(make_run: MakeRun, invoke: Invoke, options: list[str], message: str) -> None:
    for model in ("mlp", "unet"):
        for seed in range(3):
            make_run({LOSS: 0.3 + 0.1 * seed**2, ACCURACY: 0.9 - 0.1 * seed}, model=model, seed=seed)
    code, out, err = invoke("compare", "model=mlp", "model=unet", *options)
    assert (code, out) == (2, "")
    assert message in err
