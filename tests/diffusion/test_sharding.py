"""Evaluations in shards: the same results however the samples are divided, and what is refused."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.commands.eval import evaluate
from core.commands.shards import merge, share_of_process
from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.diffusion.eval import Evaluator
from core.diffusion.evaluators import likelihood
from core.diffusion.evaluators.base import Values
from core.diffusion.evaluators.denoising import LEVELS, DenoisingEvaluator
from core.diffusion.evaluators.likelihood import LikelihoodEvaluator
from core.diffusion.evaluators.placeholder import PlaceholderEvaluator
from core.diffusion.sharding import ShardedEvaluation
from core.diffusion.training.checkpoints import checkpoint_path
from core.runs.shards import ShardError
from core.utils.results import ResultCollection

N_IN_TABLE = 499


@pytest.fixture
def run_path(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of a trained run that may be evaluated."""
    return Path(shutil.copytree(trained_run, tmp_path / "runs" / "run"))


@pytest.fixture(autouse=True)
def _short_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LikelihoodEvaluator, "n_images", 8)
    monkeypatch.setattr(LikelihoodEvaluator, "n_ode_steps", 4)
    monkeypatch.setattr(likelihood, "ROUGH_STEPS", 2)


def sharded(run_path: Path, config: ModelConfig, *evaluators: str) -> ShardedEvaluation:
    return ShardedEvaluation(Evaluator(config, run_path, evaluators=evaluators, device="cpu"))


def in_shards(run_path: Path, config: ModelConfig, order: Sequence[int], *evaluators: str) -> ResultCollection:
    for index in order:
        sharded(run_path, config, *evaluators).measure(index, len(order))
    results = sharded(run_path, config, *evaluators).merge_if_complete(len(order))
    assert results is not None
    return results


def log_lines(run_path: Path) -> list[bytes]:
    """The lines of results.jsonl that the evaluation wrote, without what differs between any two evaluations."""
    kept = []
    for line in (run_path / "results.jsonl").read_bytes().splitlines():
        record = json.loads(line)
        if record["evaluation"] != "train" and not record.get("metadata", {}).get("name", "time").startswith("time"):
            kept.append(json.dumps({key: record[key] for key in record if key != "logged_at"}).encode())
    return kept


def test_given_the_same_values_records_are_byte_equal_for_every_number_of_shards(
    trained_run: Path, trained_config: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = ["loss", *(f"sigma_{level:g}" for level in LEVELS)]
    table = np.random.RandomState(0).lognormal(sigma=3, size=(N_IN_TABLE, len(columns)))

    def measure(_self: DenoisingEvaluator, ids: Sequence[int]) -> Values:
        return dict(zip(columns, table[np.array(ids)].T, strict=True))

    monkeypatch.setattr(DenoisingEvaluator, "sample_ids", lambda _self: range(N_IN_TABLE))
    monkeypatch.setattr(DenoisingEvaluator, "measure", measure)
    found, values = [], []
    for n_shards in (1, 2, 3, 5, 8):
        path = Path(shutil.copytree(trained_run, tmp_path / str(n_shards)))
        order = np.random.RandomState(n_shards).permutation(n_shards) + 1
        in_shards(path, trained_config, order.tolist(), "denoising")
        found.append(log_lines(path))
        values.append((path / "values/eval-0001/denoising.npz").read_bytes())
    whole = Path(shutil.copytree(trained_run, tmp_path / "whole"))
    Evaluator(trained_config, whole, evaluators=["denoising"], device="cpu").evaluate()
    assert len(found[0]) == len(columns)
    assert all(lines == log_lines(whole) for lines in found)
    assert all(content == values[0] for content in values)


def test_every_evaluator_of_samples_shards(run_path: Path, trained_config: ModelConfig, tmp_path: Path) -> None:
    names = ("denoising", "likelihood", "nearest", "sampling", "kid", "precision_recall")
    other = Path(shutil.copytree(run_path, tmp_path / "other"))
    results = in_shards(run_path, trained_config, [3, 1, 2], *names)
    whole = Evaluator(trained_config, other, evaluators=names, device="cpu").evaluate()
    one, two = (
        {
            record.metadata: record
            for record in each
            if not record.metadata.name.startswith("time/") and "memorisation" not in record.metadata.name
        }
        for each in (results, whole)
    )
    assert one.keys() == two.keys()
    for metadata, record in one.items():
        expected = two[metadata].result
        assert record.result.mean == pytest.approx(expected.mean, rel=1e-3), metadata.name  # float32 kernels
        assert record.result.n == expected.n
        assert record.source == two[metadata].source
    with np.load(run_path / "values/eval-0001/denoising.npz") as file:
        assert file["sample_id"].tolist() == list(range(359))
    (time,) = [record for record in results if record.metadata.name == "time/eval/denoising"]
    assert dict(time.metadata.protocol)["n_shards"] == 3
    assert not list(run_path.glob("shards/*/*.npz"))  # merged ones are deleted


def test_a_process_without_samples_is_no_harm(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LikelihoodEvaluator, "n_images", 2)
    results = in_shards(run_path, trained_config, [1, 2, 3], "likelihood")
    assert {record.result.n for record in results if record.metadata.name.startswith("bits")} == {2}


def test_shards_of_another_checkpoint_are_not_taken(run_path: Path, trained_config: ModelConfig) -> None:
    sharded(run_path, trained_config, "denoising").measure(1, 2)
    path = checkpoint_path(run_path)
    state = torch.load(path, weights_only=True)
    torch.save({**state, "step": state["step"]}, path)  # another file, with other bytes
    sharded(run_path, trained_config, "denoising").measure(2, 2)
    assert sharded(run_path, trained_config, "denoising").merge_if_complete(2) is None
    with pytest.raises(ShardError, match="missing: shard 1/2"):
        sharded(run_path, trained_config, "denoising").merge()
    assert not (run_path / "evaluations").exists()


def test_an_evaluator_that_fails_at_the_end_leaves_the_shards(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: DenoisingEvaluator, _values: Values) -> ResultCollection:
        raise OSError("no space left")

    monkeypatch.setattr(DenoisingEvaluator, "results", broken)
    with pytest.raises(RuntimeError, match=r"evaluator 'denoising' failed: .*no space left"):
        in_shards(run_path, trained_config, [1, 2], "denoising")
    monkeypatch.undo()
    assert len(sharded(run_path, trained_config, "denoising").merge()) == 9


def test_a_share_out_of_range_is_refused(run_path: Path, trained_config: ModelConfig) -> None:
    for index, of in ((0, 2), (3, 2)):
        with pytest.raises(ConfigError, match=f"shard: got {index}/{of}; accepted: I/N with I from 1 to N"):
            sharded(run_path, trained_config, "denoising").measure(index, of)


def test_values_of_another_length_are_refused(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DenoisingEvaluator, "measure", lambda _self, _ids: {"loss": np.zeros(3)})
    with pytest.raises(ShardError, match=r"'denoising': measure\(\) gave 'loss' of shape \(3,\) for 179 samples"):
        sharded(run_path, trained_config, "denoising").measure(1, 2)


def test_shares_with_other_settings_are_told_apart(run_path: Path, run_command: Callable[..., Any]) -> None:
    options = (run_path, "--evaluator", "denoising", "--device", "cpu")
    first = run_command(evaluate, *options, "--shard", "1/2", "--n-samples", "40")
    assert "other settings" not in first.err
    second = run_command(evaluate, *options, "--shard", "2/2", "--n-samples", "41")
    assert "Missing: 1/2." in second.out
    assert "shares with other settings, which are not merged with this one (n_samples: 40 there, 41 here)" in second.err
    merged = run_command(merge, run_path)
    assert merged.code == 2
    for shares, missing in (("1-of-2", "2/2"), ("2-of-2", "1/2")):
        (path,) = run_path.glob(f"shards/*/{shares}.npz")
        assert f"{path.parent}: missing: shard {missing}." in merged.err


def test_the_last_of_the_commands_merges(run_path: Path, run_command: Callable[..., Any]) -> None:
    options = (run_path, "--evaluator", "denoising", "--device", "cpu")
    first = run_command(evaluate, *options, "--shard", "2/2")
    assert first.code == 0
    merging = f"The last share merges all; or use: pyml merge {run_path}"
    assert f"Share 2/2 is measured. Missing: 1/2. {merging}" in first.out
    early = run_command(merge, run_path)
    assert early.code == 2
    assert "missing: shard 1/2. Make each with pyml-eval RUN --shard I/2." in early.err
    last = run_command(evaluate, *options, "--shard", "1/2")
    assert "denoising_loss: " in last.out
    again = run_command(evaluate, *options, "--shard", "1/2")
    assert again.code == 0
    assert "Share 1/2: this evaluation was merged before, so nothing was measured." in again.out
    assert len(list((run_path / "evaluations").iterdir())) == 1


def test_merge_takes_up_what_a_killed_process_left(
    run_path: Path, trained_config: ModelConfig, run_command: Callable[..., Any]
) -> None:
    for index in (1, 2):  # and the process ends here
        sharded(run_path, trained_config, "denoising").measure(index, 2)
    done = run_command(merge, run_path)
    assert done.code == 0
    assert "denoising_loss: " in done.out
    nothing = run_command(merge, run_path)
    assert nothing.code == 2
    assert "has no shards to merge" in nothing.err


def test_processes_of_torchrun_take_a_share_each(
    run_path: Path, run_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    printed = []
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", rank)
        printed.append(run_command(evaluate, run_path, "--evaluator", "denoising"))
    assert "Share 2/2 is measured." in printed[0].out
    assert "denoising_loss: " in printed[1].out


def test_one_process_of_torchrun_shows_progress(
    run_path: Path, run_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each share that is measured by itself shows its own."""
    for name, value in {"WORLD_SIZE": "3", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    first = run_command(evaluate, run_path, "--evaluator", "denoising")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    second = run_command(evaluate, run_path, "--evaluator", "denoising")
    by_itself = run_command(evaluate, run_path, "--evaluator", "denoising", "--shard", "3/3")
    assert [f"Evaluating {run_path}" in done.out for done in (first, second, by_itself)] == [True, False, True]
    assert ["denoising held-out images" in done.err for done in (first, second, by_itself)] == [True, False, True]
    assert "Share 2/3 is measured." in second.out


@pytest.mark.parametrize(("rank", "world"), [("2", "2"), ("x", "2"), ("-1", "2")])
def test_an_environment_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch, rank: str, world: str) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(ConfigError, match=f"RANK={rank} and WORLD_SIZE={world} of the environment do not fit"):
        share_of_process()


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/0", "1/2/3"])
def test_a_share_that_cannot_be_read_is_refused(run_path: Path, run_command: Callable[..., Any], text: str) -> None:
    done = run_command(evaluate, run_path, "--shard", text)
    assert done.code == 2
    assert f"got '{text}'; accepted: I/N with I from 1 to N, such as 2/4." in done.err
    assert not (run_path / "shards").exists()


def test_what_cannot_be_split_says_so(
    run_path: Path, trained_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlaceholderEvaluator, "supports", lambda _config: True)
    with pytest.raises(ConfigError, match=r"'placeholder' cannot be split into shards: it has no sample_ids\(\)"):
        sharded(run_path, trained_config, "placeholder")
