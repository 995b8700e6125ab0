"""Training in several processes: the same order, noise and measures as in one, and weights that differ by rounding."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from small_configs import TINY

from core.config.errors import ConfigError
from core.diffusion.models.configs import MLPConfig, UNetConfig
from core.diffusion.models.mlp import MLP
from core.diffusion.train import train_diffusion_model
from core.diffusion.training.checkpoints import checkpoint_path
from core.diffusion.training.ranks import Ranks
from core.runs.environment import last_world_size
from core.runs.status import run_status
from core.utils.signals import RunInterrupted

InRanks = Callable[[int, Callable[[Ranks], Any]], list[str | int]]
Curve = Callable[[Path], dict[int, dict[str, Any]]]

# 1,438 images are three batches of 479 and one of a single image, in which two of three processes have none.
CONFIG = attrs.evolve(TINY, n_epochs=2, batch_size=479, hidden_layer_sizes=(16,), dropout=0.0, n_steps=2, n_samples=4)


def train(path: Path, ranks: Ranks | None = None, config: MLPConfig = CONFIG, **options: Any) -> None:
    train_diffusion_model(config, path, device="cpu", ranks=ranks, **options)


def test_order_and_noise_are_the_same_to_the_bit_for_any_number_of_processes(
    tmp_path: Path, in_ranks: InRanks, curve: Curve, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, seen = MLP.loss, []

    def recording(self: MLP, images: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, labels: Any) -> Any:
        seen.append((images.clone(), noise.clone(), sigma.clone(), labels.clone()))
        return loss(self, images, noise, sigma, labels)

    def recorded(ranks: Ranks) -> None:
        seen.clear()
        train(tmp_path / str(ranks.world_size), ranks)
        torch.save(seen, tmp_path / f"seen-{ranks.world_size}-{ranks.rank}")

    monkeypatch.setattr(MLP, "loss", recording)
    recorded(Ranks())
    assert in_ranks(3, recorded) == [0, 0, 0]
    one, *three = (torch.load(tmp_path / f"seen-{name}") for name in ("1-0", "3-0", "3-1", "3-2"))
    assert [len(step[0]) for step in one] == [479, 479, 479, 1] * 2
    for step, parts in enumerate(zip(*three, strict=True)):
        counted = parts if step % 4 != 3 else parts[2:]  # a process without an image repeats one, which does not count
        for whole, *slices in zip(one[step], *counted, strict=True):
            assert torch.equal(whole, torch.cat(slices))

    curves = [curve(tmp_path / name) for name in ("1", "3")]
    assert [list(each) for each in curves] == [[4, 8], [4, 8]]
    for single, shared in zip(*(each.values() for each in curves), strict=True):
        for name, measure in single["measures"].items():
            assert shared["measures"][name] == pytest.approx(measure, rel=1e-5), name
    weights = [torch.load(checkpoint_path(tmp_path / name))["ema"] for name in ("1", "3")]
    torch.testing.assert_close(*weights, rtol=1e-5, atol=1e-6)


def test_given_the_same_losses_the_curve_is_equal_to_the_bit_and_one_process_writes(
    tmp_path: Path, in_ranks: InRanks, curve: Curve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(self: MLP, images: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor, labels: Any) -> Any:
        return sigma**3 * noise[:, 0, 0, 0].exp() + 0 * self(images, sigma, labels).flatten(1).sum(1)

    monkeypatch.setattr(MLP, "loss", given)
    train(tmp_path / "1")
    assert in_ranks(2, lambda ranks: train(tmp_path / "2", ranks)) == [0, 0]
    files = [{str(file.relative_to(tmp_path / n)) for file in (tmp_path / n).rglob("*")} for n in ("1", "2")]
    assert files[0] == files[1]
    names = [name for name in curve(tmp_path / "1")[4]["measures"] if name.startswith("loss")]
    assert len(names) == 5
    for step in (4, 8):
        single, shared = (curve(tmp_path / n)[step]["measures"] for n in ("1", "2"))
        assert [single[name] for name in names] == [shared[name] for name in names]
    assert [last_world_size(tmp_path / n) for n in ("1", "2")] == [1, 2]


class StopAt:
    """Asks to stop after some steps."""

    def __init__(self, step: int) -> None:
        self.left = step

    def __call__(self) -> RunInterrupted | None:
        self.left -= 1
        return RunInterrupted("interrupted by SIGUSR1", 138) if self.left == 0 else None


def test_a_request_in_one_process_stops_all_with_a_checkpoint_from_which_any_number_continues(
    tmp_path: Path, in_ranks: InRanks, curve: Curve
) -> None:
    train(tmp_path / "whole")
    path = tmp_path / "run"
    stopped = in_ranks(2, lambda ranks: train(path, ranks, stop=StopAt(5) if ranks.rank == 1 else None))
    assert stopped == ["RunInterrupted: interrupted by SIGUSR1"] * 2
    status = json.loads((path / "status.json").read_text())
    assert (status["state"], status["reason"], status["step"]) == ("interrupted", "interrupted by SIGUSR1", 6)
    saved = torch.load(checkpoint_path(path))
    assert (saved["step"], saved["n_seen"]) == (6, 2 * 479)
    assert (
        in_ranks(3, lambda ranks: train(path, ranks, resume=path, stop=StopAt(1)))
        == ["RunInterrupted: interrupted by SIGUSR1"] * 3
    )  # one step later, in the same epoch
    assert torch.load(checkpoint_path(path))["step"] == 8
    train(path, resume=path)
    assert run_status(path).state == "finished"
    assert last_world_size(path) == 1
    for step, whole in curve(tmp_path / "whole").items():
        for name, measure in whole["measures"].items():
            assert curve(path)[step]["measures"][name] == pytest.approx(measure, rel=1e-5), name


def test_more_processes_than_images_in_a_batch_are_refused_before_anything_is_written(
    tmp_path: Path, in_ranks: InRanks
) -> None:
    config = attrs.evolve(CONFIG, batch_size=1)
    found = in_ranks(2, lambda ranks: train(tmp_path / "run", ranks, config))
    text = "2 processes cannot share batches of batch_size = 1: one of them would have none. Start 1 or fewer."
    assert found == [f"ConfigError: {text}"] * 2
    assert not (tmp_path / "run").exists()


def test_more_processes_than_training_images_are_refused() -> None:
    Ranks(0, 8).check_shares(batch_size=128, n_images=8)
    with pytest.raises(ConfigError, match="9 processes cannot share 8 training images"):
        Ranks(0, 9).check_shares(batch_size=128, n_images=8)


def test_processes_that_were_started_with_other_configs_are_refused(tmp_path: Path, in_ranks: InRanks) -> None:
    def start(ranks: Ranks) -> None:
        train(tmp_path / "run", ranks, attrs.evolve(CONFIG, learning_rate=1e-3 * (1 + ranks.rank)))

    text = "the processes of this training must have the same learning_rate; got 0.001 of rank 0; 0.002 of rank 1."
    assert in_ranks(2, start) == [f"ConfigError: {text}"] * 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("n", "world_size"), [(7, 3), (1, 4), (8, 4), (5, 5)])
def test_shares_are_disjoint_and_leave_no_image_out(n: int, world_size: int) -> None:
    shares = [list(range(n))[Ranks(rank, world_size).share(n)] for rank in range(world_size)]
    assert [image for share in shares for image in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("family", ["edm", "meanflow"])
def test_the_unet_trains_in_two_processes_and_in_parts_of_a_batch_without_a_warning(
    family: str, tmp_path: Path, in_ranks: InRanks, curve: Curve
) -> None:
    unet = UNetConfig(model="unet", n_epochs=1, batch_size=719, channels=8, embedding_size=8, n_steps=2, n_samples=4)
    unet = attrs.evolve(unet, family=family)
    train(tmp_path / "1", config=unet)
    parts = attrs.evolve(unet, accumulate=2)
    assert in_ranks(2, lambda ranks: train(tmp_path / "2", ranks, parts)) == [0, 0]
    single, shared = (curve(tmp_path / n)[2]["measures"] for n in ("1", "2"))
    for name, measure in single.items():
        known = {key: value for key, value in measure.items() if value is not None}  # few images have little noise
        assert {key: shared[name][key] for key in known} == pytest.approx(known, rel=1e-4), name


def test_buffers_are_exchanged_at_every_step_only_if_they_may_change(
    tmp_path: Path, in_ranks: InRanks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the built-in models are constant; a batch norm's are not."""
    sent: list[list[int]] = []
    exchange = torch.distributed._broadcast_coalesced

    def counting(group: Any, tensors: list[torch.Tensor], *rest: Any) -> None:
        sent.append([tensor.numel() for tensor in tensors])
        exchange(group, tensors, *rest)

    def one_step(ranks: Ranks) -> None:
        for name, extra in (("constant", []), ("changing", [torch.nn.BatchNorm2d(1)])):
            model = MLP(attrs.evolve(CONFIG, data_shape=(1, 8, 8), n_classes=10, sigma_data=0.5))
            for index, module in enumerate(extra):
                model.add_module(f"extra_{index}", module.requires_grad_(False))
            losses = ranks.losses_of(model)
            sent.clear()
            images = torch.zeros(2, 1, 8, 8)
            losses(images, images, torch.ones(2), torch.zeros(2, dtype=torch.int64), None).sum().backward()
            (tmp_path / f"{name}-{ranks.rank}").write_text(json.dumps(sent))

    monkeypatch.setattr(torch.distributed, "_broadcast_coalesced", counting)
    assert in_ranks(2, one_step) == [0, 0]
    for rank in (0, 1):
        assert json.loads((tmp_path / f"constant-{rank}").read_text()) == []
        assert json.loads((tmp_path / f"changing-{rank}").read_text())
