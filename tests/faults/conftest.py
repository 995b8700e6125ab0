"""The shim that injects faults, compiled once per session, and the server whose forks run under it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Ended(NamedTuple):
    """How a program ended: its exit code (negative: killed by that signal) and what it printed."""

    code: int
    out: str
    err: str


class Server:
    """Runs programs of tests/faults in forked processes, with a fault at the n-th call below a directory."""

    def __init__(self, process: "subprocess.Popen[str]", scratch: Path) -> None:
        self._process = process
        self._scratch = scratch
        self._n_runs = 0
        self._calls = scratch / "calls-0"

    def run(self, program: str, directory: Path, kind: str = "", at: int = 0) -> Ended:
        """Run a program on a directory; without ``kind``, without a fault."""
        directory.mkdir(parents=True, exist_ok=True)
        self._n_runs += 1  # a process that outlives its parent goes on counting in the file of its own run
        self._calls.unlink(missing_ok=True)
        self._calls = self._scratch / f"calls-{self._n_runs}"
        request = {"program": program, "directory": str(directory)}
        request |= {"FAULT_DIR": str(directory), "FAULT_LOG": str(self._calls)}
        request |= {name: str(self._scratch / name) for name in ("stdout", "stderr")}
        request |= {"FAULT_KIND": kind, "FAULT_AT": str(at)} if kind else {}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = os.waitstatus_to_exitcode(int(self._process.stdout.readline()))
        return Ended(code, *(Path(request[name]).read_text() for name in ("stdout", "stderr")))

    def count(self, program: str, directory: Path) -> int:
        """Run a program without a fault and return how many calls it made below the directory."""
        ended = self.run(program, directory)
        assert ended.code == 0, ended.err
        return self._calls.stat().st_size


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if sys.platform != "linux":
        pytest.skip("the shim needs LD_PRELOAD")
    scratch = tmp_path_factory.mktemp("faults")
    library = scratch / "shim.so"
    options = ["-O1", "-Wall", "-Wextra", "-shared", "-fPIC"]
    subprocess.run(["cc", *options, "-o", str(library), str(HERE / "shim.c"), "-ldl"], check=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, str(HERE / "server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=scratch,  # outside of the repository, whose commit takes git 0.1 s to read
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Server(process, scratch)
        assert process.stdin is not None
        process.stdin.close()
