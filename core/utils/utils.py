"""Timer, and the making of run directories."""

from __future__ import annotations

import functools
import inspect
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from core.config.config import GlobalConfig, ModelConfig
from core.config.errors import ConfigError
from core.config.load import CONFIG_SCHEMA
from core.runs.files import sync_directory, write_json
from core.utils.formatting import format_duration

if TYPE_CHECKING:
    from core.utils.results import ScalarResult

Function = TypeVar("Function", bound=Callable[..., Any])


def generate_run_id() -> str:
    """Return a new run id: UTC time to the microsecond and six random hex digits; ids sort by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}_{secrets.token_hex(3)}"


def create_experiment_subdir(global_config: GlobalConfig, run_id: str) -> Path:
    """Make a run's directory, and the experiments directory where it is missing.

    Raises:
        ConfigError: The directory cannot be made, or the run exists already: nothing is ever shared or overwritten.
    """
    run_path = global_config.experiments_dir / run_id
    try:
        global_config.experiments_dir.mkdir(parents=True, exist_ok=True)
        if run_path.exists():
            raise ConfigError(f"{run_path} exists already; give a new run id, or another --experiments-dir.")
        run_path.mkdir()
        sync_directory(global_config.experiments_dir)
    except OSError as error:
        raise ConfigError(
            f"experiments directory {global_config.experiments_dir} cannot be written ({error.strerror or error}). "
            "Try another with --experiments-dir or PYML_EXPERIMENTS_DIR."
        ) from None
    return run_path


def save_config_to_json(
    config: ModelConfig,
    run_path: str | Path,
    plugins: Mapping[str, Mapping[str, str]] | None = None,
    found_in_data: Sequence[str] = (),
) -> Path:
    """Write a run's config.json and return its path.

    Args:
        config: What the run was asked for.
        run_path: The run directory.
        plugins: For "model" and "dataset" the name, distribution and version that served them, where known.
        found_in_data: Names of fields that were not asked for but found in the data; another run from this file finds
            them anew.
    """
    path = Path(run_path) / "config.json"
    content = {"schema": CONFIG_SCHEMA, "config": attrs.asdict(config), "plugins": dict(plugins or {})}
    write_json(path, {**content, "found_in_data": sorted({*found_in_data, *_found_before(path)})})
    return path


def _found_before(path: Path) -> list[str]:
    """Return what an earlier config.json of the run, which goes on, says was found in the data."""
    try:
        return list(json.loads(path.read_bytes())["found_in_data"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


class Timer:
    """Times a block or a function; each use is one observation, in seconds, of an exact Meter.

    One timer may be used again, nested, recursively and from several threads. A use that ends with an exception is
    no observation: it did not do what is timed. As a decorator it takes functions and coroutine functions::

        timer = Timer("epoch")
        for _ in range(5):
            with timer:
                ...
        print(timer)                # epoch: (1.203 ± 0.012) s  (n = 5)

    Args:
        name: What is timed; it is only printed.
        sync: Whether to wait for the GPU, where one is in use, when the clock starts and before it stops: without
            it, work that was only enqueued is not counted.
    """

    def __init__(self, name: str = "", *, sync: bool = False) -> None:
        from core.utils.meters import Meter

        self.name = name
        self.sync = sync
        self._meter = Meter("seconds")
        self._starts = threading.local()
        self._last_s: float | None = None

    @property
    def last_s(self) -> float:
        """Seconds of the use that ended last; NaN before the first has."""
        return float("nan") if self._last_s is None else self._last_s

    def result(self) -> ScalarResult:
        """Return the mean time of a use and its standard error, in seconds."""
        return self._meter.result("seconds")

    def __enter__(self) -> Timer:
        self._stack().append(self._now_s())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        start_s = self._stack().pop()
        if kind is None:
            self._observe(start_s)

    def __call__(self, function: Function) -> Function:
        """Return the function, timed at each call."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def timed(*args: Any, **kwargs: Any) -> Any:
                # Interleaved coroutines share a thread: the start is kept here, not on the thread's stack.
                start_s = self._now_s()
                returned = await function(*args, **kwargs)
                self._observe(start_s)
                return returned

        else:

            @functools.wraps(function)
            def timed(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return function(*args, **kwargs)

        return timed  # type: ignore[return-value]

    def __str__(self) -> str:
        result = self.result()
        text = format_duration(result.mean, result.error)
        return f"{self.name + ': ' if self.name else ''}{text}  (n = {result.n})"

    def _stack(self) -> list[float]:
        if not hasattr(self._starts, "stack"):
            self._starts.stack = []
        stack: list[float] = self._starts.stack
        return stack

    def _now_s(self) -> float:
        if self.sync:
            wait_for_gpu()
        return time.perf_counter()

    def _observe(self, start_s: float) -> None:
        elapsed_s = self._now_s() - start_s
        self._meter.update(seconds=elapsed_s)
        self._last_s = elapsed_s


def wait_for_gpu() -> None:
    """Wait until the GPU has done what was enqueued; without torch in use, or without a GPU, do nothing."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()
