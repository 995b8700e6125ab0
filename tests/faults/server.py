"""A server that has everything imported and forks one process per fault: a point costs the work, not the imports.

It reads requests as JSON lines on stdin, and answers each with the exit status of the forked process. What does not
depend on the fault is read once: the list of installed packages, the entry points, and the images, of which a few do.
"""

import contextlib
import gc
import importlib
import json
import multiprocessing.util
import os
import runpy
import signal
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import core.commands.eval
import core.commands.train
import core.diffusion.eval
import core.diffusion.train
import core.runs
import core.runs.environment
from core import plugin_groups, registry
from core.diffusion.datasets import packaged

HERE = Path(__file__).parent
N_IMAGES = 300


def import_and_read_all() -> None:
    """Import and read what every attempt needs."""
    torch.optim.Adam([torch.zeros(1)])  # the first optimiser imports torch's compiler
    few = tuple(each[:N_IMAGES] for each in packaged._digits())
    packaged._digits = lambda: few
    packages = core.runs.environment.installed_packages()
    core.runs.environment.installed_packages = packages.copy
    for group in plugin_groups.GROUPS:
        registry.registered(group)  # keeps what it found
    multiprocessing.util.spawnv_passfds = forked_interpreter
    import_what_is_imported_by("train_and_evaluate.py")
    gc.freeze()  # or the garbage collector would write to, and so copy, every page in each fork


def import_what_is_imported_by(program: str) -> None:
    """Run a program in a fork, and import the modules that it imported."""
    with tempfile.TemporaryDirectory() as scratch:
        names = {name: f"{scratch}/{name}" for name in ("stdout", "stderr", "modules")}
        if status := run_forked({"program": program, "directory": f"{scratch}/runs", **names}):
            sys.exit(f"{program} ended with status {status}: {Path(names['stderr']).read_text()}")
        for module in Path(names["modules"]).read_text().split():
            importlib.import_module(module)


def forked_interpreter(_path: bytes, arguments: Sequence[Any], kept: Sequence[int]) -> int:
    """Stand in for a new interpreter that runs ``-c CODE``, as the fork server of a sweep is: fork this one instead.

    As in a new interpreter, the signals have Python's handlers, and no file is open but those that are passed on.
    """
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor in {int(path.name) for path in Path("/proc/self/fd").iterdir()} - {0, 1, 2, *kept}:
            with contextlib.suppress(OSError):  # that of the listing is closed already
                os.close(descriptor)
        exec(arguments[-1], {})
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    finally:
        os._exit(code)


def run_forked(request: dict[str, str]) -> int:
    """Run one program in a forked process, with its output in files; return its wait status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 1
    try:
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.environ.update({name: value for name, value in request.items() if name.startswith("FAULT_")})
        sys.argv = [request["program"], request["directory"]]
        runpy.run_path(str(HERE / request["program"]), run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        if "modules" in request:
            Path(request["modules"]).write_text("\n".join(set(sys.modules) - {"__main__"}))
        os._exit(code)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    import_and_read_all()
    print("ready", flush=True)
    for line in sys.stdin:
        print(run_forked(json.loads(line)), flush=True)
