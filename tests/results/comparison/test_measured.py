"""The means beside a difference are those of the runs that were compared."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_runs import Invoke
from scipy import stats
from written_runs import finished, record, write_run

WORDS = ("compare", "model=mlp", "model=unet")
MLP = {0: 0.30, 1: 0.34, 2: 0.32, 3: 9.0}
UNET = {1: 0.21, 2: 0.22, 0: 0.20, 7: -5.0}


@pytest.fixture
def partly_paired(experiments: Path) -> None:
    number = 0
    for model, losses in (("mlp", MLP), ("unet", UNET)):
        for seed, loss in losses.items():
            write_run(experiments, number, [record(loss)], model=model, seed=seed)
            number += 1


@pytest.mark.usefixtures("partly_paired")
def test_of_partial_pairs_the_means_are_those_of_the_pairs(invoke: Invoke) -> None:
    code, out, _ = invoke(*WORDS, "--format", "json")
    assert code == 0
    (one,) = json.loads(out)["comparisons"]
    assert one["test"]["method"] == "paired over seeds"
    assert (one["a"]["n_runs"], one["b"]["n_runs"]) == (3, 3)
    assert sorted(one["a"]["seeds"]) == sorted(one["b"]["seeds"]) == [0, 1, 2]
    assert one["a"]["mean"] == pytest.approx((0.30 + 0.34 + 0.32) / 3)
    assert one["b"]["mean"] == pytest.approx((0.20 + 0.21 + 0.22) / 3)
    assert one["a"]["mean"] - one["b"]["mean"] == pytest.approx(one["test"]["difference"])


@pytest.mark.usefixtures("partly_paired")
def test_the_text_shows_these_means_and_counts_who_was_left_out(invoke: Invoke) -> None:
    _, out, _ = invoke(*WORDS)
    (row,) = [line for line in out.splitlines() if line.startswith("loss ")]
    assert row.split()[1].startswith("0.32")
    assert "0.21" in row
    assert "+0.11" in row
    assert "loss: paired over seeds, 3 pairs; runs without a partner left out: 1 of A, 1 of B." in out


@pytest.mark.usefixtures("partly_paired")
def test_welchs_test_shows_the_means_of_all_runs(invoke: Invoke) -> None:
    _, out, _ = invoke(*WORDS, "--test", "welch", "--format", "json")
    (one,) = json.loads(out)["comparisons"]
    assert one["a"]["mean"] == pytest.approx(sum(MLP.values()) / 4)
    assert one["b"]["mean"] == pytest.approx(sum(UNET.values()) / 4)


def drawn(*, seed: int, mean: float, evaluation: str) -> list[dict[str, Any]]:
    source = {"step": 90, "weights": "ema", "sample_seed": seed}
    return [record(mean, evaluation=evaluation, source=source), finished(evaluation)]


def test_samples_of_another_seed_stay_out_of_a_paired_test(experiments: Path, invoke: Invoke) -> None:
    for i, (model, losses) in enumerate((("mlp", MLP), ("unet", UNET))):
        for seed in range(3):
            lines = drawn(seed=0, mean=losses[seed], evaluation="eval-0001")
            if model == "mlp" and seed == 1:  # one run was evaluated once more, as by pyml-eval --seed 7
                lines += drawn(seed=7, mean=5.0, evaluation="eval-0002")
            write_run(experiments, 10 * i + seed, lines, model=model, seed=seed)
    code, out, _ = invoke(*WORDS, "--format", "json")
    assert code == 0
    (one,) = json.loads(out)["comparisons"]
    expected = stats.ttest_rel([MLP[seed] for seed in range(3)], [UNET[seed] for seed in range(3)])
    assert one["test"]["method"] == "paired over seeds"
    assert one["a"]["mean"] == pytest.approx((0.30 + 0.34 + 0.32) / 3)
    assert one["test"]["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)
    assert one["note"] == "samples of seed 0 only; some runs were evaluated later with another seed"


def test_samples_without_a_seed_in_common_are_compared_with_a_note(experiments: Path, invoke: Invoke) -> None:
    for i, (model, losses) in enumerate((("mlp", MLP), ("unet", UNET))):
        for seed in range(3):
            lines = drawn(seed=7 * i, mean=losses[seed], evaluation="eval-0001")
            write_run(experiments, 10 * i + seed, lines, model=model, seed=seed)
    assert "the samples were drawn with different seeds (0, 7)" in invoke(*WORDS)[1]
