"""Checkpoints that hold what training never writes: resume names the fault and changes nothing."""

import copy
import errno
import json
import math
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from core.diffusion.datasets.base import TRAIN, Batches, load_data
from core.diffusion.models.configs import MLPConfig
from core.diffusion.models.mlp import MLP
from core.diffusion.train import completed_from_data, train_diffusion_model
from core.diffusion.training import checkpoints
from core.diffusion.training.checkpoints import Checkpoint, CheckpointError, checkpoint_path, load_checkpoint
from core.diffusion.training.epoch import train_epoch
from core.diffusion.training.state import TrainingState
from core.runs.status import run_status
from core.utils.signals import RunInterrupted

Halfway = tuple[Callable[[], TrainingState], Checkpoint]  # makes a fresh state; a checkpoint of the second epoch
CPU = torch.device("cpu")
JUNK: tuple[Any, ...] = (
    *(None, True, -1, -(10**9), 10**9, 2**70, 0.5, math.nan, math.inf, "x", "", [], [1, 2, 3, 4, 5], {}, {"a": 1}),
    *(torch.tensor(math.nan), torch.zeros(0), torch.full((8,), math.inf), torch.arange(1438), torch.zeros(625)),
)


@pytest.fixture
def halfway(tiny: MLPConfig, tmp_path: Path) -> Halfway:
    data = load_data(tiny, TRAIN)
    config, _ = completed_from_data(tiny, data)

    def fresh() -> TrainingState:
        return TrainingState(config, MLP(config), CPU, len(data))

    state, batches, path = fresh(), Batches(data, CPU), tmp_path
    train_epoch(state, batches, lambda: None)

    def save_and_stop() -> None:
        state.save(path)
        raise RunInterrupted("after a step")

    with pytest.raises(RunInterrupted, match="after a step"):
        train_epoch(state, batches, save_and_stop)
    return fresh, load_checkpoint(path, config)


def places(value: Any, depth: int = 4) -> "Iterator[list[Any]]":
    """Yield the way to each entry of nested dicts and lists."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield [key]
        if depth > 1:
            yield from ([key, *way] for way in places(inner, depth - 1))


def changed(state: Any, way: list[Any], junk: Any) -> Any:
    """Return a copy with another value at that place; the rest is shared."""
    copied = copy.copy(state)
    copied[way[0]] = junk if len(way) == 1 else changed(state[way[0]], way[1:], junk)
    return copied


def test_any_entry_of_a_checkpoint_can_be_junk(halfway: Halfway) -> None:
    fresh, checkpoint = halfway
    pick = random.Random(0)
    ways = [
        way for way in places(checkpoint.state) if way[0] not in {"schema", "model"}
    ]  # those are checked on reading
    n_refused = 0
    for way in ways:
        for junk in pick.sample(JUNK, 3):
            state = fresh()
            try:
                state.restore(attrs.evolve(checkpoint, state=changed(checkpoint.state, way, junk)))
            except CheckpointError:
                n_refused += 1
            else:  # an entry that is not used, such as the learning rate, or junk that is as good
                assert [state.step, state.epoch, state.n_seen] == [4, 1, 500], (way, junk)
                assert all(parameter.isfinite().all() for parameter in state.parameters)
    assert n_refused > len(ways)


@pytest.mark.parametrize(
    ("key", "junk", "message"),
    [
        ("epoch", -(10**9), r"epoch: got -1000000000; accepted: an integer from 0 up"),
        ("step", 10**9, r"step: got 1000000000, but epoch 1 and 500 images of the next are 4 steps"),
        ("order", torch.zeros(1438, dtype=torch.int64), r"order: is not a permutation of the training images"),
        ("optimizer", {}, r"KeyError: 'state'"),
        ("ema", {"x": torch.ones(1)}, r"does not fit the model"),
    ],
)
def test_the_message_names_the_entry(halfway: Halfway, key: str, junk: Any, message: str) -> None:
    fresh, checkpoint = halfway
    with pytest.raises(CheckpointError, match=message):
        fresh().restore(attrs.evolve(checkpoint, state={**checkpoint.state, key: junk}))


def test_averages_that_are_not_finite_are_refused(
    halfway: Halfway,
) -> None:
    fresh, checkpoint = halfway
    name, values = next(iter(checkpoint.state["ema"].items()))
    ema = {**checkpoint.state["ema"], name: torch.full_like(values, math.nan)}
    with pytest.raises(CheckpointError, match=rf"ema: {name} holds values that are not finite"):
        fresh().restore(attrs.evolve(checkpoint, state={**checkpoint.state, "ema": ema}))


@pytest.fixture
def interrupted(tiny: MLPConfig, tmp_path: Path) -> Path:
    """A run that was interrupted after its first epoch."""
    path = tmp_path / "run"
    path.mkdir()
    train_diffusion_model(attrs.evolve(tiny, n_epochs=1), path, device="cpu")
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps({**status, "state": "interrupted", "reason": "Ctrl-C"}))
    return path


def files(run_path: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in run_path.rglob("*") if path.is_file()}


def test_an_odd_checkpoint_costs_an_interrupted_run_nothing(tiny: MLPConfig, interrupted: Path) -> None:
    path = checkpoint_path(interrupted)
    state = torch.load(path, weights_only=True)
    torch.save({**state, "optimizer": {"param_groups": []}}, path)
    before = files(interrupted)
    with pytest.raises(CheckpointError, match=r"cannot continue from it \(KeyError: 'state'\)"):
        train_diffusion_model(tiny, interrupted, device="cpu", resume=interrupted)
    assert files(interrupted) == before
    assert run_status(interrupted).state == "interrupted"


def test_a_read_that_fails_for_now_is_not_called_damage(
    tiny: MLPConfig, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(interrupted)

    def failing(path: str, _most_bytes: int) -> tuple[int, int]:
        raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr(checkpoints, "open_file", failing)
    with pytest.raises(CheckpointError, match=r"could not be read \(Input/output error\).*Try again"):
        train_diffusion_model(tiny, interrupted, device="cpu", resume=interrupted)
    monkeypatch.undo()
    assert files(interrupted) == before
    shutil.rmtree(interrupted)


def test_a_sample_grid_that_was_lost_by_a_kill_is_drawn_again_to_the_byte(tiny: MLPConfig, interrupted: Path) -> None:
    grids = sorted((interrupted / "samples").glob("*.png"))
    content = grids[-1].read_bytes()
    grids[-1].unlink()
    train_diffusion_model(tiny, interrupted, device="cpu", resume=interrupted)
    assert grids[-1].read_bytes() == content
    assert len(list((interrupted / "samples").glob("*.png"))) > len(grids)
