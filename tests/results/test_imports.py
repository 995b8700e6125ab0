"""What the commands over many runs may cost to start: none imports torch, and --help next to nothing."""

import subprocess
import sys
from pathlib import Path

from made_runs import LOSS, MakeRun, log_curve

ROOT = Path(__file__).parents[2]
ALL = ("runs", "compare", "table", "plot", "report")
HEAVY = {"torch", "scipy", "matplotlib", "numpy", "cattrs", "rich", "pandas", "polars", "PIL"}

CALL = """
import importlib, sys
def call(command, *arguments):
    getattr(importlib.import_module(f"results.commands.{command}"), command)(arguments, standalone_mode=False)
"""


def loaded_after(code: str) -> set[str]:
    code = f"{CALL}\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


def test_help_of_every_command_imports_nothing_heavy() -> None:
    calls = "\n".join(f"call({command!r}, '--help')" for command in ALL)
    assert not loaded_after(calls) & HEAVY


def test_listing_runs_imports_nothing_heavy(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.5})
    assert not loaded_after(f"call('runs', '--experiments-dir', {str(experiments)!r})") & HEAVY


def test_no_command_over_many_runs_imports_torch(make_run: MakeRun, experiments: Path, tmp_path: Path) -> None:
    for model in ("mlp", "unet"):
        for seed in range(2):
            log_curve(make_run({LOSS: 0.1 * seed + len(model)}, model=model, seed=seed), {1: 1.0, 2: 0.5})
    here = f"'--experiments-dir', {str(experiments)!r}"
    calls = [
        f"call('runs', 'list', {here})",
        f"call('runs', 'show', 'latest', {here})",
        f"call('runs', 'export', {here})",
        f"call('table', {here})",
        f"call('compare', 'model=mlp', 'model=unet', {here})",
        f"call('plot', 'curves', '-o', {str(tmp_path / 'curves.png')!r}, {here})",
        f"call('report', '-o', {str(tmp_path / 'report.html')!r}, {here})",
    ]
    loaded = loaded_after("\n".join(calls))
    assert "matplotlib" in loaded
    assert "scipy" in loaded
    assert "torch" not in loaded
