"""Every reader of a file that somebody else may have written: its good files, and the errors that it documents.

Each reader gets a file in a directory of its own and either reads it, reports a fault, or raises one of its errors.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from core.config.errors import ConfigError
from core.runs import strict_json
from core.runs.arrays import write_arrays
from core.runs.config_file import read_config_file, read_saved_config
from core.runs.environment import ENVIRONMENT
from core.runs.evaluations import read_requests
from core.runs.fast_results import read_results
from core.runs.metrics import read_curve
from core.runs.result_log import read_result_log
from core.runs.sample_pictures import read_picture
from core.runs.sample_values import read_clusters, read_values, save_values
from core.runs.status import run_status
from core.runs.tags import read_tags
from core.runs.training_lock import read_holder
from core.sweeps.sweep import read_sweep
from core.utils.meters import Meter
from core.utils.results import ResultMetadata
from results.exchange.mlflow_store import read_run

DATA = Path(__file__).parents[1] / "data"
RUN = DATA / "run-1"
LOSS = ResultMetadata("loss")
FEW = 12  # of that many small files of a slow reader, one is a whole file


class Reader(NamedTuple):
    """A reader: the path of its file in a run, files that are good, what it does, and the errors that it documents."""

    file: str
    seeds: tuple[bytes, ...]
    read: Callable[[Path], object]
    errors: tuple[type[BaseException], ...] = ()


def _both_result_readers(path: Path) -> None:
    fast, careful = read_results(path.parent), read_result_log(path.parent)
    newest = {record.metadata: record.result for record in careful.newest()}
    assert set(fast.measures) == set(newest), "the two readers find different results"
    assert len(fast.faults) == len(careful.faults), "the two readers find different faults"


def _json(path: Path) -> Any:
    return strict_json.loads(path.read_bytes().decode())


def _values(path: Path) -> None:
    read_values(path.parents[2], "eval-0001", LOSS)


def _metadata_of_values(path: Path) -> None:
    """Put the content into an archive whose checksums are right, as damage never is but malice may be."""
    about = np.array(path.read_bytes().decode(errors="replace"))
    (path.parent / "values" / "eval-0001").mkdir(parents=True, exist_ok=True)
    ids, values = np.arange(3), np.zeros(3)
    content = {"sample_id": ids, "value": values, "cluster_id": ids, "metadata": about}
    write_arrays(path.parent / "values" / "eval-0001" / "x.npz", content)
    read_values(path.parent, "eval-0001", LOSS)
    read_clusters(path.parent, "eval-0001", LOSS)


def _values_of_a_few() -> bytes:
    with tempfile.TemporaryDirectory() as run_path:
        path = save_values(run_path, "eval-0001", "x", [3, 1, 4], [0.5, -2.0, 1e-9], LOSS, cluster_ids=[0, 0, 1])
        assert path is not None
        return path.read_bytes()


def _checkpoint() -> tuple[Callable[[Path], object], bytes]:
    """Return the reader of checkpoints, and one of a model with three weights: a whole one takes ten times as long."""
    import torch

    from core.config.config import ModelConfig
    from core.diffusion.training.checkpoints import KEYS, load_checkpoint, save_checkpoint

    config, weights = ModelConfig(model="mlp"), {"w": torch.tensor([0.5, -1.0]), "b": torch.tensor(3.0)}
    state = dict.fromkeys(KEYS - {"schema"}) | {"model": "mlp", "weights": weights, "step": 7, "epoch": 1, "n_seen": 9}
    with tempfile.TemporaryDirectory() as run_path:
        save_checkpoint(run_path, state | {"order": [2, 0, 1]})
        small = (Path(run_path) / "checkpoints" / "last.pt").read_bytes()
    return lambda path: load_checkpoint(path.parents[1], config), small


def _checkpoint_errors() -> tuple[type[BaseException], ...]:
    from core.diffusion.training.checkpoints import CheckpointError

    return (CheckpointError,)


def _meter() -> bytes:
    meter = Meter(pairs=[("a", "b")])
    meter.update(a=[0.5, -3e-320, 1e300], b=[1, 2, 3], c=[float("nan"), float("inf")])
    return json.dumps(meter.state_dict()).encode()


def _json_of(content: object) -> bytes:
    return json.dumps(content, indent=2).encode()


def _seeds(*names: str) -> tuple[bytes, ...]:
    return tuple((DATA / name).read_bytes() for name in names)


def _picture() -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (1, 2, 3)).save(buffer, format="PNG")
    return buffer.getvalue()


def readers() -> dict[str, Reader]:
    """Return all readers by name."""
    lock = {"schema": "pyml.lock/1", "host": "a", "pid": 3, "process": "b/n/5", "token": "ab12", "beats": 4}
    tags = {"schema": "pyml.tags/1", "tags": ["baseline", "lr:1e-3"], "note": "a note", "archived": False}
    about = {"schema": "pyml.values/1", "name": "loss", "unit": "image", "protocol": {"split": "test"}, "n_steps": None}
    job = {"index": 0, "config": {"seed": 3, "sizes": [8, 8]}, "run_id": "20260101T000000000000Z_000000"}
    sweep = {"schema": "pyml.sweep/1", "device": "cpu", "evaluate": True, "tracker": ["tensorboard"], "jobs": [job]}
    (values,) = (RUN / "values" / "eval-0001").glob("*.npz")
    whole = (RUN / "results.jsonl").read_bytes()
    results = (
        b"".join(whole.splitlines(keepends=True)[-4:]),
        *_seeds("results-1/results.jsonl", "results-2/results.jsonl"),
    )
    read_checkpoint, checkpoint = _checkpoint()
    toml = b'n_epochs = 3\nlearning_rate = 1e-3\n[global]\ndevice = "cpu"\n'
    return {
        "json": Reader(
            "a.json",
            _seeds("run-1/config.json"),
            lambda path: strict_json.loads(path.read_bytes().decode()),
            (ValueError,),
        ),
        "status": Reader("status.json", _seeds("run-1/status.json"), lambda path: run_status(path.parent)),
        "config": Reader("config.json", _seeds("run-1/config.json"), read_saved_config, (ConfigError,)),
        "environment": Reader(
            "environment.json", _seeds("run-1/environment.json"), lambda path: ENVIRONMENT.read(path.parent)
        ),
        "config file": Reader("a.toml", (toml,), read_config_file, (ConfigError,)),
        "results": Reader("results.jsonl", (*results * FEW, whole), _both_result_readers),
        "metrics": Reader("metrics.jsonl", _seeds("run-1/metrics.jsonl"), lambda path: read_curve(path.parent)),
        "lock": Reader("training.lock", (json.dumps(lock).encode(),), read_holder),
        "meter": Reader(
            "meter.json",
            (_meter(), *_seeds("meter_state_1.json")),
            lambda path: Meter.from_state_dict(_json(path)),
            (ValueError,),
        ),
        "tags": Reader("tags.json", (_json_of(tags),), lambda path: read_tags(path.parent)),
        "evaluation": Reader(
            "evaluations/eval-0001.json",
            _seeds("run-1/evaluations/eval-0001.json"),
            lambda path: read_requests(path.parents[1]),
        ),
        "sweep": Reader("sweep.json", (_json_of(sweep),), lambda path: read_sweep(path.parent), (ConfigError,)),
        "mlflow run": Reader(
            "meta.yaml",
            tuple(path.read_bytes() for path in sorted((DATA / "mlruns").glob("*/*/meta.yaml"))),
            lambda path: read_run(path.parent, "e"),
            (ValueError,),
        ),
        "metadata of values": Reader("metadata.json", (_json_of(about),), _metadata_of_values),
        "picture": Reader("a.png", (_picture(),), read_picture, (ValueError,)),
        "values": Reader("values/eval-0001/x.npz", (*[_values_of_a_few()] * FEW, values.read_bytes()), _values),
        "checkpoint": Reader(
            "checkpoints/last.pt",
            (*[checkpoint] * FEW, *_seeds("run-1/checkpoints/last.pt")),
            read_checkpoint,
            _checkpoint_errors(),
        ),
    }


@functools.cache
def _place(directory: Path, file: str) -> Path:
    path = directory / file
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def read_content(reader: Reader, content: bytes, directory: Path) -> None:
    """Give a file with that content to the reader; anything but its documented errors propagates."""
    path = _place(directory, reader.file)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.write(file, content)
    os.close(file)
    with contextlib.suppress(*reader.errors):
        reader.read(path)
