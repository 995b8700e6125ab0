"""The floor of the benchmarks: the shortest possible times. It is compiled from floor.cpp for this processor."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from timing import Candidate, interleaved

SOURCE = Path(__file__).with_name("floor.cpp")
LIBRARY = SOURCE.parents[1] / "build" / "benchmarks" / f"floor_native{sysconfig.get_config_var('EXT_SUFFIX')}"


def build() -> ModuleType:
    """Import the class ``Floor`` and the functions ``read_...``; compile floor.cpp first if it has changed."""
    if not LIBRARY.exists() or LIBRARY.stat().st_mtime < SOURCE.stat().st_mtime:
        LIBRARY.parent.mkdir(parents=True, exist_ok=True)
        compiler = os.environ.get("CXX", "g++")
        include = sysconfig.get_path("include")
        flags = ["-std=c++17", "-O3", "-march=native", "-shared", "-fPIC", f"-I{include}"]
        subprocess.run([compiler, *flags, str(SOURCE), "-o", str(LIBRARY)], check=True)
    spec = importlib.util.spec_from_file_location("floor_native", LIBRARY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fastest_read(array: Any) -> Candidate:
    """Return the fastest of several plain sums of an array, a lower bound for any work that reads all of its values."""
    native = build()
    names = [name for name in dir(native) if name.startswith("read_")]
    reads = [Candidate(name, "read(x)", {"read": getattr(native, name), "x": array}) for name in names]
    seconds = interleaved(reads, rounds=5, at_least_s=0.5).seconds
    return min(reads, key=lambda read: seconds[read.name])
