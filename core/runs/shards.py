"""Shards of an evaluation: what one of several processes measured, and the ledger of the samples that it covered.

``shards/<key>/3-of-8.npz`` holds the third of eight shares of the evaluation ``<key>``: its header (JSON) names the
setting of the evaluation and each evaluator's meter; arrays hold the ids of its samples and their values.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from core.config.errors import ConfigError
from core.runs.arrays import read_arrays, write_arrays
from core.runs.files import write_json
from core.runs.open_file import NO_BLOCK, RefusedFileError, directory_inside, open_inside
from core.runs.strict_json import dumps, loads
from core.utils.formatting import timestamp
from core.utils.meters import Meter

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # where there is no flock

SHARDS = "shards"
SHARD_SCHEMA = "pyml.shard/1"
MERGED, MERGED_SCHEMA = "merged.json", "pyml.merged/1"
LOCK = "lock"
FILE = re.compile(r"([1-9]\d{0,8})-of-([1-9]\d{0,8})\.npz")
MOST_NAMED = 10  # in a message about shards or samples that are missing
Values = Mapping[str, NDArray[np.float64]]


class ShardError(ConfigError):
    """Shards cannot be merged: one is missing, occurs twice, belongs to something else or is damaged."""


def share(n: int, index: int, of: int) -> range:
    """Return the ``index``-th (from 1) of ``of`` ranges that part 0 .. n-1 as evenly as possible; it may be empty."""
    return range(n * (index - 1) // of, n * index // of)


@frozen
class Part:
    """What a shard measured for one evaluator.

    Attributes:
        ids: The ledger: ids of the samples that were measured, int64, shape ``(n,)``.
        values: By name, one value for each of these samples, float64, shape ``(n,)``. Empty where the samples are
            kept elsewhere in the run.
        wall_time_s: How long it took.
    """

    ids: NDArray[np.int64]
    values: Values = field(factory=dict)
    wall_time_s: float = 0.0

    def meter(self) -> Meter:
        """Return a meter of the values."""
        meter = Meter(*self.values)
        for name, values in self.values.items():
            meter.update({name: values})
        return meter


@frozen
class Shard:
    """One share of an evaluation.

    Attributes:
        index: Which share, from 1.
        of: Number of shares.
        setting: What is evaluated and how; only shards of equal settings are merged.
        parts: What was measured, by evaluator.
    """

    index: int
    of: int
    setting: Mapping[str, Any]
    parts: Mapping[str, Part]

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.index}-of-{self.of}.npz"


def setting_key(setting: Mapping[str, Any]) -> str:
    """Return the name of the directory for the shards of a setting."""
    return hashlib.sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()[:12]


def write_shard(directory: Path, shard: Shard) -> Path:
    """Write a shard whole, or leave what was there; return the file."""
    arrays: dict[str, NDArray[Any]] = {}
    about = []
    for place, (name, part) in enumerate(shard.parts.items()):
        arrays[f"{place}.sample_id"] = part.ids
        arrays.update({f"{place}.value.{column}": values for column, values in part.values.items()})
        about.append({"name": name, "wall_time_s": part.wall_time_s, "meter": part.meter().state_dict()})
    header = {"schema": SHARD_SCHEMA, "shard": shard.index, "of": shard.of, "setting": shard.setting, "parts": about}
    arrays["header"] = np.array(dumps(header))
    _check_inside(directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_arrays(directory / shard.name, arrays)
    return directory / shard.name


def read_shard(path: Path) -> Shard:
    """Return the shard in a file.

    Raises:
        ShardError: The file is damaged, holds another share than its name says, or values that its meters do not fit.
    """
    try:
        arrays = read_arrays(path)
        header = loads(str(arrays["header"]))
        if header["schema"] != SHARD_SCHEMA:
            raise ValueError(f"schema: got {header['schema']!r}; accepted: {SHARD_SCHEMA!r}")
        parts = {about["name"]: _part(arrays, place, about) for place, about in enumerate(header["parts"])}
        shard = Shard(header["shard"], header["of"], header["setting"], parts)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ShardError(f"shard {path} cannot be used ({error}). Delete it and evaluate this share again.") from None
    if shard.name != path.name:
        raise ShardError(f"shard {path} holds share {shard.index} of {shard.of}: it occurs twice or was renamed.")
    return shard


def _part(arrays: Mapping[str, NDArray[Any]], place: int, about: Mapping[str, Any]) -> Part:
    prefix, ids = f"{place}.value.", arrays[f"{place}.sample_id"]
    values = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    for name, array in [("sample_id", ids), *values.items()]:
        kind = np.int64 if name == "sample_id" else np.float64
        if array.shape != ids.shape or array.ndim != 1 or array.dtype != kind:
            raise ValueError(f"{about['name']}: {name} is {array.dtype} {array.shape}")
    part = Part(ids, values, float(about["wall_time_s"]))
    if part.meter().state_dict() != about["meter"]:
        raise ValueError(f"{about['name']}: the meter holds other values than the arrays")
    return part


def read_shards(directory: Path) -> list[Shard]:
    """Return all shards of an evaluation, by their index.

    Raises:
        ShardError: A share is missing, occurs twice, cannot be used, or belongs to another evaluation; it is named.
    """
    _check_inside(directory)
    paths = {match[0]: path for path in sorted(directory.glob("*.npz")) if (match := FILE.fullmatch(path.name))}
    shards = sorted((read_shard(path) for path in paths.values()), key=lambda shard: (shard.of, shard.index))
    if not shards:
        raise ShardError(f"{directory} holds no shards. Make them: pyml-eval RUN --shard 1/2, then 2/2.")
    counts = sorted({shard.of for shard in shards})
    if len(counts) > 1:
        foreign = ", ".join(shard.name for shard in shards if shard.of != counts[-1])
        raise ShardError(
            f"{directory} mixes shares of {' and '.join(map(str, counts))}: delete {foreign}, or the rest."
        )
    for shard in shards:
        if setting_key(shard.setting) != directory.name:
            raise ShardError(f"shard {directory / shard.name} belongs to another evaluation or checkpoint: delete it.")
        if list(shard.parts) != list(shards[0].parts):
            raise ShardError(f"shard {directory / shard.name} has other evaluators than {shards[0].name}: delete it.")
    have = {shard.index for shard in shards}
    if missing := [f"{index}/{counts[0]}" for index in range(1, counts[0] + 1) if index not in have]:
        raise ShardError(f"missing: {_some('shard', missing)}. Make each with pyml-eval RUN --shard I/{counts[0]}.")
    return shards


def _check_inside(directory: Path) -> None:
    """Raise ShardError if ``RUN/shards/KEY`` is a link that leads out of the run."""
    try:
        directory_inside(directory.parents[1], f"{directory.parent.name}/{directory.name}")
    except RefusedFileError as error:
        raise ShardError(f"{error.filename}: {error.strerror}. Delete it and evaluate again.") from None


def missing_shares(directory: Path, of: int) -> list[str]:
    """Return the shares, such as "2/3", of which no file exists."""
    return [f"{index}/{of}" for index in range(1, of + 1) if not (directory / f"{index}-of-{of}.npz").exists()]


def other_settings(directory: Path, setting: Mapping[str, Any]) -> list[str]:
    """Return what the settings of shares in other directories differ in, such as "n_samples: 100 there, 500 here"."""
    found = []
    for path in sorted({path.parent for path in directory.parent.glob("*/*.npz")} - {directory}):
        with contextlib.suppress(ShardError, StopIteration):
            other = read_shard(next(each for each in sorted(path.glob("*.npz")) if FILE.fullmatch(each.name))).setting
            names = sorted(name for name in {*other, *setting} if other.get(name) != setting.get(name))
            found.append("; ".join(f"{name}: {other.get(name)} there, {setting.get(name)} here" for name in names))
    return found


def mark_merged(directory: Path, of: int) -> None:
    """Note that an evaluation has been merged, and delete its shards."""
    write_json(directory / MERGED, {"schema": MERGED_SCHEMA, "of": of, "merged_at": timestamp()})
    for path in directory.glob("*.npz"):
        if FILE.fullmatch(path.name):
            path.unlink(missing_ok=True)


def is_merged(directory: Path) -> bool:
    """Return whether an evaluation has been merged before."""
    return (directory / MERGED).exists()


@contextlib.contextmanager
def exclusively(directory: Path) -> Iterator[None]:
    """Lock out other processes that merge; BlockingIOError if one is merging. Without file locks, do nothing.

    Two processes that merge the same shards would save the same results twice, of which the newest count.
    """
    descriptor = open_inside(str(directory / LOCK), os.O_RDWR | os.O_CREAT | NO_BLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EACCES):
                    raise
        yield


def merge_parts(shards: Sequence[Shard], name: str, ids: Iterable[int]) -> Part:
    """Return one evaluator's values from all shards, in the order of ``ids``; meters are merged exactly.

    Args:
        shards: All shards of an evaluation.
        name: The evaluator.
        ids: The samples that the evaluation covers.

    Raises:
        ShardError: A sample is missing, was measured twice, or does not belong to the evaluation; it is named.
    """
    parts = [shard.parts[name] for shard in shards]
    found, wanted = np.concatenate([part.ids for part in parts]), np.fromiter(ids, np.int64)
    unique, first, counts = np.unique(found, return_index=True, return_counts=True)
    for what, wrong in [
        ("measured by two shards", unique[counts > 1]),
        ("no part of the evaluation", np.setdiff1d(unique, wanted)),
        ("measured by no shard", np.setdiff1d(wanted, unique)),
    ]:
        if wrong.size:
            raise ShardError(f"evaluator {name!r}: {what}: {_some('sample', wrong.tolist())}.")
    columns = {column for part in parts for column in part.values}
    measured = [part for part in parts if part.ids.size]  # a shard without samples has no values
    if absent := [column for column in sorted(columns) if any(column not in part.values for part in measured)]:
        raise ShardError(f"evaluator {name!r}: not every shard has the value {absent[0]!r}.")
    order = first[np.searchsorted(unique, wanted)]
    values = {
        column: np.concatenate([part.values[column] for part in measured])[order]
        for column in (measured[0].values if measured else ())
    }
    return Part(wanted, values, sum(part.wall_time_s for part in parts))


def _some(what: str, items: Sequence[object]) -> str:
    """Return "sample 7" or "samples 1, 2, 3 and 17 more"."""
    listed = ", ".join(map(str, items[:MOST_NAMED]))
    more = f" and {len(items) - MOST_NAMED:,} more" if len(items) > MOST_NAMED else ""
    return f"{what}{'s' if len(items) > 1 else ''} {listed}{more}"
