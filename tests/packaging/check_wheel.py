"""Build the wheel, install it in another environment, and use it from outside the clone.

Once with the C++ extension and once with a compiler that fails, as on a machine that has none. The dependencies are
borrowed from the environment that runs this (they are gigabytes); the package itself comes from the wheel alone.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]

CHECK = """
import pathlib, sys
import core, results
from core.utils.meters import Meter
home = pathlib.Path(sys.prefix)
for package in (core, results):
    assert home in pathlib.Path(package.__file__).parents, f"{package.__name__} is imported from {package.__file__}"
    assert (pathlib.Path(package.__file__).parent / "py.typed").is_file(), package.__name__
assert (pathlib.Path(core.__file__).parent / "_meter.pyi").is_file()
try:
    import scripts
except ImportError:
    pass
else:
    raise AssertionError("scripts is installed")
meter = Meter()
meter.update(x=[0.1] * 10)
assert meter.mean("x") == 0.1, meter.mean("x")
print(meter.engine)
"""


def run(*command: str | Path, **environment: str) -> str:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYML_", "PYTHON"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=tempfile.gettempdir(),
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} exited with {done.returncode}:\n{done.stdout}")
    return done.stdout


def check(engine: str, **build_environment: str) -> None:
    """Build with this environment and see that the installed wheel runs this engine."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        source = work / "source"
        run("git", "clone", "--quiet", CLONE, source)  # a build leaves files behind; the clone stays as it is
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
        run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", work, source, **build_environment)
        (wheel,) = work.glob("pyml_core-*.whl")
        check_description(wheel)
        venv.create(work / "venv", with_pip=False, symlinks=os.name != "nt")
        python = work / "venv" / "bin" / "python"
        (site,) = (work / "venv").glob("lib/python*/site-packages")
        run(*pip, "--python", python, "install", "--quiet", "--no-deps", wheel)
        (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        answer = run(python, "-c", CHECK).split()
        if answer != [engine]:
            sys.exit(f"expected the engine {engine}, got {answer}")
        listing = run(work / "venv" / "bin" / "pyml", "plugins", "--check")
        if f"meter engine: {engine}" not in listing or "BROKEN" in listing:
            sys.exit(listing)
        if engine == "python" and "PYML_REQUIRE_EXTENSION=1" not in listing:
            sys.exit(f"the way to the C++ engine is not named:\n{listing}")
        run(work / "venv" / "bin" / "pyml-train", "--model", "identity", "--experiments-dir", work / "runs")
        results = run(work / "venv" / "bin" / "pyml-eval", "latest", "--experiments-dir", work / "runs")
        if "±" not in results:
            sys.exit(f"no results:\n{results}")
        print(f"wheel with the {engine} engine: installed, trained, evaluated")


def check_description(wheel: Path) -> None:
    """See that the description, which package indexes show, is the README without links to files of the repository."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    relative = [target for target in re.findall(r"\]\(([^)]+)\)", text) if not re.match(r"\w+://", target)]
    if relative or "`docs/tutorial.md`" not in text or "Description-Content-Type: text/markdown" not in text:
        sys.exit(f"the description in the wheel has the relative links {relative}:\n{text[:1000]}")


def check_source_distribution() -> None:
    """See that the source distribution has every tracked file that a packager needs to build, test and document it."""
    folders = ("core", "results", "csrc", "tests", "docs", "examples", "scripts", "benchmarks")
    with tempfile.TemporaryDirectory() as directory:
        source, built = Path(directory) / "source", Path(directory) / "built"
        run("git", "clone", "--quiet", CLONE, source)
        backend = f"from setuptools import build_meta; build_meta.build_sdist({str(built)!r})"
        run(sys.executable, "-c", f"import os; os.chdir({str(source)!r}); {backend}")
        (archive,) = built.glob("pyml_core-*.tar.gz")
        with tarfile.open(archive) as tar:
            packed = {name.partition("/")[2] for name in tar.getnames()}
        tracked = run(
            "git", "-C", source, "ls-files", *folders, "Makefile", "constraints.txt", "mkdocs.yml", "*.md"
        ).splitlines()
        missing = sorted(set(tracked) - packed)
        if missing:
            sys.exit(f"the source distribution lacks {missing}")
        print(f"source distribution: {len(packed)} files, tests, docs and examples among them")


if __name__ == "__main__":
    check_source_distribution()
    check("c++", PYML_REQUIRE_EXTENSION="1")
    check("python", CC="false", CXX="false")
