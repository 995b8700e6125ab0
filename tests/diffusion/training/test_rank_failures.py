"""A process that fails, is killed or hangs ends the training in all of them, and status.json says why."""

import json
import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.diffusion.models.configs import MLPConfig
from core.diffusion.models.mlp import MLP
from core.diffusion.train import train_diffusion_model
from core.diffusion.training import failures
from core.diffusion.training.ranks import Ranks

InRanks = Callable[[int, Callable[[Ranks], Any]], list[str | int]]

CONFIG = MLPConfig(model="mlp", n_epochs=100, batch_size=479, hidden_layer_sizes=(8,), embedding_size=8)


def train_until(path: Path, step: int, end: Callable[[], Any], **options: Any) -> Callable[[Ranks], None]:
    """Return work in which the process of rank 1 calls ``end`` after some steps."""

    def work(ranks: Ranks) -> None:
        left = step

        def stop() -> None:
            nonlocal left
            left -= 1
            if left == 0 and ranks.rank == 1:
                end()

        train_diffusion_model(CONFIG, path, device="cpu", ranks=ranks, stop=stop, **options)

    return work


def status_of(path: Path) -> tuple[str, str]:
    status = json.loads((path / "status.json").read_text())
    return status["state"], status["reason"]


def raise_error() -> None:
    raise OSError("the file of image 7 cannot be read")


def test_an_error_in_another_process_is_the_reason_of_the_run(tmp_path: Path, in_ranks: InRanks) -> None:
    found = in_ranks(2, train_until(tmp_path / "run", 6, raise_error))
    reason = "rank 1 of 2 failed: OSError: the file of image 7 cannot be read"
    assert found == [f"RankError: {reason}", "OSError: the file of image 7 cannot be read"]
    assert status_of(tmp_path / "run") == ("failed", f"RankError: {reason}")


def test_a_killed_process_ends_the_run_with_that_reason(tmp_path: Path, in_ranks: InRanks) -> None:
    found = in_ranks(2, train_until(tmp_path / "run", 6, lambda: os.kill(os.getpid(), signal.SIGKILL)))
    assert found[1] == -signal.SIGKILL
    state, reason = status_of(tmp_path / "run")
    assert state == "failed"
    assert re.fullmatch(r"RankError: rank 1 of 2 \(process \d+\) ended without a message\. It may .* full\.", reason)
    assert found[0] == reason


def test_a_process_that_waits_for_one_that_failed_is_ended(
    tmp_path: Path, in_ranks: InRanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(failures, "STUCK_AFTER_S", 0.2)
    work = train_until(tmp_path / "run", 6, raise_error)

    def hang_after_the_error(ranks: Ranks) -> None:
        try:
            work(ranks)
        finally:
            if not ranks.is_first:
                threading.Event().wait()  # its connections stay open

    assert in_ranks(2, hang_after_the_error) == [1, 1]  # both were ended, without an error of their own
    assert status_of(tmp_path / "run") == (
        "failed",
        "RankError: rank 1 of 2 failed: OSError: the file of image 7 cannot be read",
    )


def test_a_loss_that_is_not_finite_in_one_process_ends_all_with_its_step(
    tmp_path: Path, in_ranks: InRanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(ranks: Ranks) -> None:
        loss, n_calls = MLP.loss, 0

        def diverging(self: MLP, *arguments: Any) -> torch.Tensor:
            nonlocal n_calls
            n_calls += 1
            return loss(self, *arguments) * (torch.nan if n_calls == 7 and ranks.rank == 1 else 1)

        monkeypatch.setattr(MLP, "loss", diverging)
        train_diffusion_model(CONFIG, tmp_path / "run", device="cpu", ranks=ranks)

    in_ranks(2, work)
    state, reason = status_of(tmp_path / "run")
    assert state == "failed"
    assert "TrainingDivergedError: training diverged at step 7: " in reason
