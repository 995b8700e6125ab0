"""The console scripts: started from anywhere, beside files of the user's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import core
import pyml_start

ROOT = Path(pyml_start.__file__).parent


def start(script: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Start a console script as its installed wrapper does, with the directory first on the path."""
    code = f"import sys; sys.argv[0] = {script!r}; import pyml_start; pyml_start.{script.replace('-', '_')}()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(cwd), str(ROOT)])}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


@pytest.mark.parametrize("script", ["pyml", "pyml-train", "pyml-eval", "pyml-sample"])
def test_every_script_tells_the_version(script: str, tmp_path: Path) -> None:
    done = start(script, "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"pyml-core, version {core.__version__}\n")


@pytest.mark.parametrize("arguments", [["-m", "core", "runs"], ["scripts/train.py"], ["scripts/eval.py", "latest"]])
def test_a_clone_without_the_packages_it_needs_names_one_in_one_line(arguments: list[str]) -> None:
    clone = Path(__file__).parents[2]
    command = [sys.executable, "-S", *arguments]  # -S: without site-packages, as a Python in which nothing is installed
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=clone, env=environment)
    assert done.returncode == 1
    remedy = f"Try: {sys.executable} -m pip install -e {clone}"
    assert done.stderr.endswith(f": pyml-core needs click, which is not installed for this Python. {remedy}\n")
    assert len(done.stderr.splitlines()) == 1


def test_a_python_that_is_too_old_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit, match=r"^pyml: pyml-core needs Python 3.11 or newer; this is \d.*\)\.$"):
        pyml_start.pyml()


def test_the_script_pyml_has_all_commands(tmp_path: Path) -> None:
    done = start("pyml", "--help", cwd=tmp_path)
    assert done.stdout.startswith("Usage: pyml [OPTIONS] COMMAND")
    assert {"train", "eval", "compare", "table"} <= set(done.stdout.split())


@pytest.mark.parametrize("script", ["pyml", "pyml-train", "pyml-eval", "pyml-sample"])
@pytest.mark.parametrize("file", ["core/__init__.py", "core/engine.py", "core.py", "results.py", "results/__init__.py"])
def test_a_package_of_the_users_that_hides_ours_is_named_in_one_line(script: str, file: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    done = start(script, "--version", cwd=tmp_path)
    package = file.partition("/")[0].removesuffix(".py")
    if file == "core/engine.py":  # a folder without __init__.py gives way to a package
        assert done.returncode == 0
        return
    assert done.returncode == 1
    assert done.stderr.startswith(f"{script}: {tmp_path / file} hides the package {package!r} of pyml-core")
    assert len(done.stderr.splitlines()) == 1


def test_python_m_core_names_a_core_of_the_users_if_python_finds_ours_at_all(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core/__init__.py").touch()
    # An editable install finds core.__main__ of ours inside a package that is the user's.
    code = f"import runpy; runpy.run_path({str(ROOT / 'core/__main__.py')!r}, run_name='__main__')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-c", code, "runs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith(f"python -m core: {tmp_path / 'core/__init__.py'} hides the package 'core'")
    assert len(done.stderr.splitlines()) == 1


def test_a_command_names_the_file_that_is_imported_in_place_of_results(tmp_path: Path) -> None:
    (tmp_path / "results.py").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-m", "core", "runs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith(f"python -m core: {tmp_path / 'results.py'} hides the package 'results'")
