"""Training and evaluation on a real GPU: they agree with the CPU, and go on after a stop, also on another device."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from core.config.config import ModelConfig
from core.diffusion.eval import Evaluator
from core.diffusion.models.configs import MLPConfig, UNetConfig
from core.diffusion.train import train_diffusion_model
from core.diffusion.training.ranks import joined
from core.plugins import saved_config
from core.runs.files import read_json_lines
from core.runs.status import run_status
from core.utils.results import ScalarResult
from core.utils.signals import RunInterrupted

MLP = MLPConfig(model="mlp", n_epochs=2, batch_size=479, hidden_layer_sizes=(64,), dropout=0.1, n_steps=4, n_samples=64)
UNET = UNetConfig(model="unet", n_epochs=1, channels=16, n_steps=4, n_samples=64)
QUICK = ("denoising", "sampling", "frechet", "kid", "precision_recall", "nearest")  # all but the likelihood


def curve(path: Path) -> list[dict[str, Any]]:
    rows, faults = read_json_lines(path / "metrics.jsonl")
    assert not faults
    return [row["measures"] for row in rows if "measures" in row]


def losses(path: Path) -> list[float]:
    return [measures["loss"]["mean"] for measures in curve(path)]


def train(path: Path, device: str, config: ModelConfig = MLP, **options: Any) -> torch.nn.Module:
    path.mkdir(exist_ok=True)
    return train_diffusion_model(config, path, device=device, **options)


def evaluated(path: Path, device: str, evaluators: tuple[str, ...] = QUICK) -> dict[str, ScalarResult]:
    """Return the results by name, without times."""
    found = Evaluator(saved_config(path), path, device=device, evaluators=evaluators).evaluate()
    return {record.metadata.name: record.result for record in found if not record.metadata.name.startswith("time/")}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"precision": "bf16"},
        {"compile": True},
        {"accumulate": 3},
        {"family": "flow", "label_dropout": 0.1},
        {"family": "meanflow", "sampler": "meanflow"},
        {"ema_half_life_images": (500, 5000)},
        {"validation_share": 0.2, "checkpoint_every_epochs": 1},
    ],
    ids=lambda fields: ",".join(fields) or "defaults",
)
@pytest.mark.parametrize("config", [MLP, UNET], ids=["mlp", "unet"])
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")  # of PyTorch itself
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning")  # of torch.compile
def test_a_run_trains_and_is_evaluated(
    config: ModelConfig, fields: dict[str, Any], tmp_path: Path, device: str
) -> None:
    train(tmp_path / "run", device, attrs.evolve(config, **fields))
    assert run_status(tmp_path / "run").state == "finished"
    train(tmp_path / "cpu", "cpu", attrs.evolve(config, **{**fields, "compile": False}))
    assert losses(tmp_path / "run")[-1] == pytest.approx(losses(tmp_path / "cpu")[-1], rel=0.3)  # of other noise
    environment = json.loads((tmp_path / "run/environment.json").read_text())
    assert torch.cuda.get_device_name() in json.dumps(environment)
    assert len(evaluated(tmp_path / "run", device)) > 12


@pytest.mark.parametrize(("config", "evaluators"), [(UNET, QUICK), (MLP, ("likelihood",))], ids=["unet", "mlp"])
def test_evaluation_on_the_gpu_agrees_with_the_cpu(
    config: ModelConfig, evaluators: tuple[str, ...], tmp_path: Path, device: str
) -> None:
    train(tmp_path / "run", device, attrs.evolve(config, exact_trace_up_to=0))
    on_gpu, on_cpu = (evaluated(tmp_path / "run", where, evaluators) for where in (device, "cpu"))
    assert on_gpu.keys() == on_cpu.keys()
    for name, result in on_gpu.items():
        assert result.n == on_cpu[name].n
        assert result.mean == pytest.approx(on_cpu[name].mean, rel=0.02, abs=0.02), name


def test_the_same_seed_gives_nearly_the_same_curve_again(tmp_path: Path, device: str) -> None:
    for name in ("a", "b"):
        train(tmp_path / name, device, UNET)
    assert losses(tmp_path / "a") == pytest.approx(losses(tmp_path / "b"), rel=1e-3)


@pytest.mark.parametrize("places", [("gpu", "gpu"), ("gpu", "cpu"), ("cpu", "gpu")], ids=" to ".join)
def test_a_stopped_run_goes_on_here_or_on_another_device(places: tuple[str, str], tmp_path: Path, device: str) -> None:
    first, second = (device if place == "gpu" else "cpu" for place in places)
    steps: list[int] = []

    def stop() -> RunInterrupted | None:
        steps.append(len(steps))
        return RunInterrupted("stopped in the middle of an epoch", 1) if len(steps) == 3 else None

    with pytest.raises(RunInterrupted):
        train(tmp_path / "run", first, stop=stop)
    train(tmp_path / "run", second, resume=tmp_path / "run")
    assert run_status(tmp_path / "run").state == "finished"
    assert [measures["loss"]["n"] for measures in curve(tmp_path / "run")] == [1438, 1438]
    if first == second:
        train(tmp_path / "whole", first)
        assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "whole"), rel=1e-4)


@pytest.mark.parametrize("config", [MLP, UNET], ids=["mlp", "unet"])
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")
def test_the_host_does_not_wait_for_the_gpu_within_an_epoch(config: ModelConfig, tmp_path: Path, device: str) -> None:
    n_steps = 0

    def stop() -> None:
        nonlocal n_steps
        n_steps += 1
        torch.cuda.set_sync_debug_mode("error" if 3 <= n_steps < 9 else "default")

    try:
        train(tmp_path / "run", device, attrs.evolve(config, n_epochs=1, batch_size=128), stop=stop)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert n_steps == 12


def test_a_run_through_nccl_gives_the_curve_of_one_without(
    tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "alone", device)
    for name, value in {"MASTER_ADDR": "localhost", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    with joined(0, 1, torch.device("cuda:0")) as ranks:
        monkeypatch.setattr(type(ranks), "is_alone", False)  # so that it goes through DistributedDataParallel
        train(tmp_path / "joined", "cuda:0", ranks=ranks)
    assert losses(tmp_path / "joined") == pytest.approx(losses(tmp_path / "alone"), rel=1e-4)


def test_two_processes_on_one_gpu_are_refused(tmp_path: Path) -> None:
    n = torch.cuda.device_count() + 1
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n), "-m", "core", "train"]
    done = subprocess.run(
        [*command, "--model", "mlp", "--n-epochs", "1", "--experiments-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode != 0
    assert done.stderr.count(f"device: got 'auto' for {n} processes on a machine with {n - 1} GPU") == 1
    assert not list(tmp_path.iterdir())


def test_a_gpu_without_enough_memory_ends_the_run_with_that_reason(tmp_path: Path, device: str) -> None:
    torch.cuda.set_per_process_memory_fraction(2**28 / torch.cuda.mem_get_info()[1])
    try:
        with pytest.raises(torch.OutOfMemoryError):
            train(tmp_path / "run", device, attrs.evolve(MLP, batch_size=1438, hidden_layer_sizes=(4096, 4096)))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert run_status(tmp_path / "run").state == "failed"
