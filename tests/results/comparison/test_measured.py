"""The means beside a difference are those of the runs that were compared."""

import json
from pathlib import Path

import pytest
from made_runs import Invoke
from written_runs import record, write_run

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
