"""A sweep of two short runs, or its continuation, for the fault tests."""

import sys
from pathlib import Path

from core.cli import run
from core.commands.sweep import sweep

if __name__ == "__main__":  # the pool's processes import this file
    directory = Path(sys.argv[1])
    where = ["--experiments-dir", str(directory)]
    begin = ["--model", "identity", "--device", "cpu", "--jobs", "1", "--name", "two", "seed=0..1"]
    is_begun = (directory / "sweeps" / "two" / "sweep.json").exists()
    try:
        run(sweep, [*(["resume", "two"] if is_begun else begin), *where], name="sweep")
    except SystemExit as ended:
        if ended.code:
            raise
