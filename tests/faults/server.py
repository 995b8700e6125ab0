"""A server that has everything imported and forks one process per fault: a point costs the work, not the imports.

It reads requests as JSON lines on stdin, and answers each with the exit status of the forked process.
"""

import json
import os
import runpy
import sys
import warnings
from pathlib import Path

import sklearn.datasets

import core.commands.eval
import core.commands.train
import core.diffusion.eval
import core.diffusion.train
import core.runs
import core.runs.serialise

core.runs.serialise.converter()
sklearn.datasets.load_digits()
HERE = Path(__file__).parent


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
        os._exit(code)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print("ready", flush=True)
    for line in sys.stdin:
        print(run_forked(json.loads(line)), flush=True)
