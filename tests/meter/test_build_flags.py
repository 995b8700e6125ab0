"""The C++ code refuses to be compiled by flags under which it would be wrong."""

import shutil
import subprocess
from pathlib import Path

import pytest

HEADER = Path(__file__).parents[2] / "csrc" / "float_bits.hpp"  # every other header includes it
COMPILER = shutil.which("g++")


def compiled(*flags: str) -> subprocess.CompletedProcess[str]:
    assert COMPILER is not None
    command = [COMPILER, "-std=c++17", "-fsyntax-only", "-x", "c++", *flags, str(HEADER)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(COMPILER is None, reason="needs g++")
@pytest.mark.parametrize("flag", ["-ffast-math", "-Ofast", "-ffinite-math-only", "-funsafe-math-optimizations"])
def test_fast_math_is_an_error_unless_it_is_undone_by_the_last_flag(flag) -> None:
    refused = compiled(flag)
    assert refused.returncode != 0
    assert "not exact under -ffast-math" in refused.stderr
    if flag in ("-ffast-math", "-Ofast"):
        assert compiled(flag, "-fno-fast-math").returncode == 0
    assert compiled().returncode == 0
