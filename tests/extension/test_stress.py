"""A few of the cycles that ``make sanitize`` and ``make reliability`` run by the million."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from core.meter import engines


@pytest.mark.parametrize("engine", engines.available())
def test_cycles_of_a_meter_leave_no_memory_behind(engine: str) -> None:
    program = Path(__file__).parent / "stress.py"
    done = subprocess.run(
        [sys.executable, str(program), "100", "60", engine], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cycles"] == 100
