"""What every test shares, whatever machine it runs on: the CPU, one thread, and Ctrl-C as a terminal gives it."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

# Numbers are compared to the bit, and a GPU or another number of threads changes the last ones. Both are set in the
# environment before torch is imported, so that the processes that tests start have them too.
if os.environ.get("PYML_REQUIRE_CUDA") != "1":  # set by make cuda-test
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["OMP_NUM_THREADS"] = "1"

# A shell that starts a command in the background ignores SIGINT, and processes inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The experiments directory of this test, in its working directory; it does not exist yet."""
    monkeypatch.setenv("PYML_EXPERIMENTS_DIR", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.fixture
def default_sighup() -> Iterator[None]:
    """Let SIGHUP have its effect here and in programs that a test starts, even if the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


WaitUntil = Callable[[Callable[[], object], "subprocess.Popen[str]"], None]


@pytest.fixture
def wait_until() -> WaitUntil:
    """Return a function that waits until something is true, and fails if the process that should make it true ends."""

    def wait(is_true: Callable[[], object], process: "subprocess.Popen[str]") -> None:
        while not is_true():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)  # not a loop without a pause, which would take the processor from the process
                pytest.fail(f"the process ended with {process.returncode}: {process.stderr and process.stderr.read()}")

    return wait


@pytest.fixture
def run_command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Return a function that runs a command in this process as its script does."""
    from core.cli import run

    def call(command: click.Command, *arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run(command, [str(argument) for argument in arguments], name=command.name)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, out, err)

    return call
