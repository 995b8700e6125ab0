"""``python -m core claim`` as a user meets it."""

import json
import math
from pathlib import Path

import attrs
import numpy as np
import pytest
from made_runs import ACCURACY, LOSS, Invoke, MakeRun
from scipy import stats
from written_runs import measure, record, write_run

from core.utils.results import ScalarResult

VALUES = [3.2751, 3.2779, 3.2760, 3.2802, 3.2744]


def make(make_run: MakeRun, values: list[float], n: int | None = 359) -> None:
    for seed, value in enumerate(values):
        make_run({LOSS: ScalarResult(value, 0.001, n), ACCURACY: 0.9}, model="mlp", seed=seed)


def claim(invoke: Invoke, *options: str) -> tuple[str, dict]:
    arguments = ("claim", "model=mlp", "--metric", "loss", *options)
    code, out, err = invoke(*arguments)
    assert (code, err) == (0, "")
    _, content, _ = invoke(*arguments, "--format", "json")
    return out, json.loads(content, parse_constant=pytest.fail)


def test_a_record_is_shown_by_a_one_sided_t_test(make_run: MakeRun, invoke: Invoke) -> None:
    make(make_run, VALUES)
    out, content = claim(invoke, "--below", "3.28")
    assert content["answer"] == "shown"
    expected = stats.ttest_1samp(VALUES, 3.28, alternative="less")
    assert content["p_value"] == pytest.approx(expected.pvalue)
    assert content["bound"] == pytest.approx(expected.confidence_interval(0.95).high)
    assert "A: model=mlp  (5 runs, seeds 0 to 4)" in out
    assert "loss below 3.28: shown." in out
    bound = f"{expected.confidence_interval(0.95).high:.4f}"
    assert f"At 95% the mean is at most {bound} (one-sided t test over runs, p = {expected.pvalue:.2g})." in out
    assert "use --sequential" in out


def test_a_line_within_the_spread_cannot_be_told(make_run: MakeRun, invoke: Invoke) -> None:
    make(make_run, VALUES)
    out, content = claim(invoke, "--below", "3.2775")
    assert content["answer"] == "cannot tell"
    assert "loss below 3.2775: cannot tell." in out


def test_a_false_claim_is_shown_to_be_false(make_run: MakeRun, invoke: Invoke) -> None:
    make(make_run, VALUES)
    assert claim(invoke, "--above", "3.29")[1]["answer"] == "shown to be false"


def test_a_mean_below_the_line_is_not_enough_at_a_higher_level(make_run: MakeRun, invoke: Invoke) -> None:
    make(make_run, VALUES)
    assert claim(invoke, "--below", "3.28", "--level", "0.99")[1]["answer"] == "cannot tell"


def test_a_sequential_claim_may_be_looked_at_after_every_run(make_run: MakeRun, invoke: Invoke) -> None:
    make(make_run, [value - 0.01 for value in VALUES])
    out, content = claim(invoke, "--below", "3.28", "--sequential")
    assert (content["answer"], content["method"]) == ("shown", "sequential t test over runs")
    assert "loss below 3.28: shown." in out
    make_run({LOSS: 3.4}, model="mlp", seed=9)
    assert claim(invoke, "--below", "3.28", "--sequential")[1]["answer"] == "shown"  # it was shown before
    out, content = claim(invoke, "--below", "3.2666", "--sequential")
    assert content["answer"] == "cannot tell"
    assert "You may add seeds and test again" in out


def test_a_failed_and_a_diverged_run_are_left_out_and_said(make_run: MakeRun, invoke: Invoke) -> None:
    make(make_run, [*VALUES, math.nan])
    make_run(state="failed", model="mlp", seed=10)
    out, content = claim(invoke, "--below", "3.28")
    assert (content["n_runs"], content["n_failed"]) == (5, 2)
    assert content["mean"] == pytest.approx(np.mean(VALUES))
    assert "2 runs failed and are left out: the mean is over those that did not." in out


def test_a_single_run_speaks_of_its_own_weights(make_run: MakeRun, invoke: Invoke) -> None:
    make(make_run, [3.27])
    out, content = claim(invoke, "--below", "3.28")
    assert content["p_value"] == pytest.approx(stats.t.cdf(-10, 358))
    assert (content["answer"], content["method"]) == ("shown", "t test over samples")
    assert "At 95% the mean is at most 3.2716 (one-sided t test over samples, p < 0.0001)." in out
    assert "One run: this holds for this trained model, not for other seeds." in out


@pytest.mark.parametrize(
    ("right", "line", "answer"), [(49, 0.94, "cannot tell"), (50, 0.94, "shown"), (50, 1, "cannot tell")]
)
def test_a_single_runs_share_has_an_exact_test(
    make_run: MakeRun, invoke: Invoke, right: int, line: float, answer: str
) -> None:
    share, about = right / 50, attrs.evolve(ACCURACY, kind="proportion")
    make_run({about: ScalarResult(share, math.sqrt(share * (1 - share) / 49), 50)}, model="mlp")
    side = "--below" if line == 1 else "--above"
    arguments = ("claim", "model=mlp", "--metric", "accuracy", side, str(line))
    content = json.loads(invoke(*arguments, "--format", "json")[1])
    expected = stats.binomtest(right, 50, line, "less" if line == 1 else "greater")
    assert content["p_value"] == pytest.approx(expected.pvalue)
    assert (content["answer"], content["method"]) == (answer, "exact binomial test over samples")
    bound = expected.proportion_ci(0.95, "exact")
    assert content["bound"] == pytest.approx(bound.high if line == 1 else bound.low)
    out = invoke(*arguments)[1]
    assert "(one-sided exact binomial test over samples, p " in out
    assert "One run: this holds for this trained model, not for other seeds." in out


def test_a_group_whose_runs_all_failed_is_refused_with_the_reason(make_run: MakeRun, invoke: Invoke) -> None:
    make_run(state="failed", model="mlp")
    code, out, err = invoke("claim", "model=mlp", "--metric", "loss", "--below", "3.28")
    assert (code, out) == (2, "")
    assert "model=mlp: no finished run to test a claim on (1 failed)." in err


@pytest.mark.parametrize(
    ("values", "options", "reason"),
    [
        ([3.27], ["--sequential"], "One run, so the error over runs is unknown; run more seeds."),
        ([3.27, 3.27, 3.27], [], "All runs gave the same value, so the error is unknown"),
        ([math.nan, math.inf], [], "No run has a finite result."),
    ],
)
def test_what_cannot_be_told_comes_with_the_reason(
    make_run: MakeRun, invoke: Invoke, values: list[float], options: list[str], reason: str
) -> None:
    make(make_run, values)
    out, content = claim(invoke, "--below", "3.28", *options)
    assert (content["answer"], content["p_value"]) == ("cannot tell", None)
    assert "loss below 3.28: cannot tell." in out
    assert reason in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "claim needs a value: give either --below X or --above X."),
        (["--below", "1", "--above", "2"], "claim needs a value"),
        (["--below", "nan"], "--below: got nan; accepted: a number."),
        (["--below", "1", "--metric", "los"], "Did you mean 'loss'?"),
        (["--below", "1", "--metric", "*"], "--metric *: names 2 measures"),
        (["--below", "1", "--level", "95"], "--level: got 95"),
    ],
)
def test_wrong_usage_exits_2(make_run: MakeRun, invoke: Invoke, options: list[str], message: str) -> None:
    make(make_run, VALUES)
    given = options if "--metric" in options else ["--metric", "loss", *options]
    code, out, err = invoke("claim", "model=mlp", *given)
    assert (code, out) == (2, "")
    assert message in err


def test_a_claim_about_a_time_is_in_one_readable_unit(experiments: Path, invoke: Invoke) -> None:
    for seed in range(3):
        write_run(experiments, seed, [record(3e-4 + 1e-6 * seed, measure("time/eval", unit="run"))], seed=seed)
    code, out, _ = invoke("claim", "model=mlp", "--metric", "time/eval", "--below", "0.5")
    assert code == 0
    assert "time/eval below 500 ms: shown." in out
    assert "e+0" not in out
