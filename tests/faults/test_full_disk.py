"""A disk that is really full: a file system of 256 KiB in memory, mounted in a namespace of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_faults import check_that_nothing_reported_is_lost, reported

from core.runs import Run
from core.runs.directory import run_ids
from core.runs.metrics import read_curve
from core.runs.result_log import read_result_log

PROGRAM = Path(__file__).parent / "fill_disk.py"
ON_A_SMALL_DISK = """
mount -t tmpfs -o size=256k small "$1" || exit 99
"$2" "$3" "$1"
code=$?
cp -r "$1" "$4"
exit $code
"""


def fill_disk(tmp_path: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run the program until its disk is full; return how it ended and a copy of the disk."""
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    command = ["sh", "-c", ON_A_SMALL_DISK, "sh", str(disk), sys.executable, str(PROGRAM), str(copy)]
    try:
        done = subprocess.run(["unshare", "-rm", *command], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # not on Linux
        pytest.skip("needs unshare, of util-linux")
    if not copy.exists():  # containers may forbid the mount
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    return done, copy


def test_a_full_disk_loses_no_reported_result_and_the_run_goes_on_elsewhere(tmp_path: Path) -> None:
    done, copy = fill_disk(tmp_path)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr or "is the disk full?" in done.stderr
    assert "Traceback" not in done.stdout
    assert len(reported(done.stdout)) > 20
    check_that_nothing_reported_is_lost(copy, done.stdout)

    (run_id,) = run_ids(copy)
    moved = shutil.move(copy / run_id, tmp_path / "larger")  # a user would copy the run to a disk with space
    before, n_results = read_curve(moved)[0], len(read_result_log(moved).newest())
    with Run.resume(moved) as run:
        assert run.step == before[-1].step
        run.meter.update(loss=1.0)
        run.log_curve(before[-1].step + 1)
        run.log_result("after", [0.0, 1.0], unit="image")
    assert [point.step for point in read_curve(moved)[0]] == [*(point.step for point in before), before[-1].step + 1]
    assert len(read_result_log(moved).newest()) == n_results + 1
