"""Make the table of the README: EDM, flow and MeanFlow in 1 to 50 steps, on digits and mnist5k, 5 seeds each.

Usage: python benchmarks/families.py [--experiments-dir DIR] [--jobs 2] [--quick] [-o FILE.md] [--picture FILE.png]

It trains with `pyml sweep`, evaluates with `pyml eval` and decides with `pyml compare`, as a user would, with one
thread per process. The same command, started again, continues where it stopped. Numbers are the Fréchet distance
corrected for its bias, with 95% intervals over seeds; smaller is better, and 0 is a perfect model. In each row, the
family with the smallest mean is compared with the others. The picture shows samples of the first seed, one class per
column. --quick makes the table of two tiny runs each, to try the command.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from core import plugins
from core.runs.directory import run_ids
from core.runs.result_log import read_result_log

MEASURE = "frechet_distance/corrected"
FAMILIES = ("edm", "flow", "meanflow")
STEPS = (1, 5, 18, 50)
STEPS_SHOWN = (1, 5, 18)
IMAGES_SHOWN = 20


@frozen
class Task:
    """One data set, and how models are trained and evaluated on it.

    Attributes:
        dataset: Name of the data set.
        fields: Config fields of all runs, as options of the command line.
        features: Feature space of the distance.
        n_samples: Samples per evaluation.
    """

    dataset: str
    fields: tuple[str, ...]
    features: str
    n_samples: int


COMMON = ("--lr-schedule", "cosine", "--checkpoint-every-epochs", "1000")
MLP, UNET = ("--model", "mlp"), ("--model", "unet", "--patch-size", "2", "--channels", "16")
TASKS = (
    Task("digits", (*MLP, "--n-epochs", "150"), "pixels", 1000),
    Task("mnist5k", (*UNET, "--n-epochs", "8", "--batch-size", "32", "--learning-rate", "2e-3"), "pca_64", 300),
)
QUICK = (
    Task("digits", (*MLP, "--n-epochs", "2", "--hidden-layer-sizes", "16"), "pixels", 200),
    Task("mnist5k", (*MLP, "--n-epochs", "1", "--hidden-layer-sizes", "16"), "pca_16", 100),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments-dir", type=Path, default=Path("experiments/families"), help="where the runs go")
    parser.add_argument("--jobs", type=int, default=2, help="processes at one time")
    parser.add_argument("--quick", action="store_true", help="tiny runs, to try the command")
    parser.add_argument("-o", "--output", type=Path, help="write the table, in Markdown")
    parser.add_argument("--picture", type=Path, help="write samples of the families, side by side")
    given = parser.parse_args()
    start_s = time.perf_counter()
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes below
    tasks, n_seeds = (QUICK, 2) if given.quick else (TASKS, 5)
    for task in tasks:
        train(task, given.experiments_dir, n_seeds, given.jobs)
    evaluate(tasks, given.experiments_dir, given.jobs)
    text = table([row for task in tasks for row in rows(task, given.experiments_dir)], n_seeds)
    print(text)
    if given.output:
        given.output.write_text(text + "\n")
    if given.picture:
        draw(tasks, given.experiments_dir, given.picture)
    print(f"{(time.perf_counter() - start_s) / 60:.1f} minutes in this session", file=sys.stderr)


def pyml(*arguments: object, experiments_dir: Path) -> str:
    """Run a command of pyml-core and return its output; stop with its message if it fails."""
    command = [sys.executable, "-m", "core", *map(str, arguments), "--experiments-dir", str(experiments_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def train(task: Task, experiments_dir: Path, n_seeds: int, jobs: int) -> None:
    """Train the runs of a task that are missing, as a sweep over families and seeds."""
    print(f"training on {task.dataset}", file=sys.stderr)
    axes = [f"family={','.join(FAMILIES)}", f"seed=0..{n_seeds - 1}"]
    options = ["--name", f"families-{task.dataset}", "--jobs", jobs, "--dataset", task.dataset, *COMMON, *task.fields]
    pyml("sweep", *options, *axes, experiments_dir=experiments_dir)


def evaluate(tasks: Sequence[Task], experiments_dir: Path, jobs: int) -> None:
    """Evaluate the runs that lack a result, several at a time with one thread each."""
    by_dataset = {task.dataset: task for task in tasks}
    todo: list[list[str]] = []
    for run_id in run_ids(experiments_dir):
        run_path = experiments_dir / run_id
        config = plugins.saved_config(run_path)
        task = by_dataset[config.dataset]
        newest = [record.metadata for record in read_result_log(run_path).newest()]
        done = {metadata.n_steps for metadata in newest if metadata.name == MEASURE}
        if steps := [n for n in steps_of(config.family) if n not in done]:
            options = ["--features", task.features, "--n-samples", str(task.n_samples), "--threads", "1"]
            options += [word for n in steps for word in ("--n-steps", str(n))]
            todo.append([run_id, "--evaluator", "frechet", *options, "--experiments-dir", str(experiments_dir)])
    print(f"evaluating {len(todo)} runs", file=sys.stderr)
    # A process evaluates one run after another, so that imports and data are paid for once.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for number, _ in enumerate(pool.map(evaluate_one, todo), start=1):
            print(f"evaluated {number} of {len(todo)}", file=sys.stderr)


def steps_of(family: str) -> tuple[int, ...]:
    """Return the numbers of steps that a family can sample in: EDM's schedule has at least two."""
    return STEPS[1:] if family == "edm" else STEPS


def evaluate_one(arguments: list[str]) -> None:
    """Run `pyml eval` in this process."""
    from core.commands.eval import evaluate as command
    from core.utils.output import messages_to

    with messages_to("nowhere"), contextlib.redirect_stderr(io.StringIO()):
        command.main(arguments, standalone_mode=False)


def rows(task: Task, experiments_dir: Path) -> list[tuple[str, ...]]:
    """Return a row for each number of steps: data set, features, steps, the families, and the answers of compare."""
    found = {family: compared(task, family, experiments_dir) for family in FAMILIES}
    made = []
    for n in STEPS:
        sides = {family: found[family][0][n] for family in FAMILIES if n in found[family][0]}
        best = min(sides, key=lambda family: sides[family]["mean"])
        answers = found[best][1]
        numbers = [over_seeds(sides[family]) if family in sides else "-" for family in FAMILIES]
        made.append((task.dataset, task.features, str(n), *numbers, verdict(best, answers[n])))
    return made


def compared(
    task: Task, family: str, experiments_dir: Path
) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, str]]]:
    """Compare a family with the others; return its numbers by steps, and the answers by steps and other family."""
    others = [other for other in FAMILIES if other != family]
    groups = [f"dataset={task.dataset} and family={each}" for each in (family, *others)]
    options = ["--metric", MEASURE, "--ignore", "sampler", "--format", "json"]
    found = json.loads(pyml("compare", *groups, *options, experiments_dir=experiments_dir))
    sides: dict[int, dict[str, Any]] = {}
    answers: dict[int, dict[str, str]] = {}
    for one in found["comparisons"]:
        n = one["measure"]["n_steps"]
        other = next(each for each in others if f"family={each}" in one["b"]["label"].split())
        sides[n] = one["a"]
        answers.setdefault(n, {})[other] = one["answer"]
    return sides, answers


def verdict(best: str, answers: dict[str, str]) -> str:
    """Return what compare says of the family with the smallest mean and each of the others."""
    beaten = [other for other, answer in answers.items() if answer == "A is better"]
    unclear = [other for other in answers if other not in beaten]
    parts = [f"{best} is better than {' and '.join(beaten)}"] if beaten else []
    return "; ".join([*parts, *([f"{best} or {' or '.join(unclear)}: cannot tell"] if unclear else [])])


def over_seeds(side: dict[str, Any]) -> str:
    """Return the mean and half of the interval over seeds."""
    return f"{side['mean']:.3f} ± {(side['ci_high'] - side['ci_low']) / 2:.3f}"


def table(found: Sequence[tuple[str, ...]], n_seeds: int) -> str:
    """Return the rows as a table in Markdown."""
    head = ("data", "features", "steps", *FAMILIES, "`pyml compare`")
    lines = [head, tuple("---" for _ in head), *found]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    about = f"Corrected Fréchet distance: mean ± half of the 95% interval over {n_seeds} seeds. Smaller is better."
    return f"{body}\n\n{about}"


def draw(tasks: Sequence[Task], experiments_dir: Path, path: Path) -> None:
    """Write samples of the first seed: a row for each data set and number of steps, a column for each family."""
    import PIL.Image
    from matplotlib.figure import Figure

    from core.diffusion.pictures import image_grid

    rows = [(task, n) for task in tasks for n in STEPS_SHOWN]
    figure = Figure(figsize=(9, 0.85 * len(rows)), dpi=120, layout="constrained")
    panels = figure.subplots(len(rows), len(FAMILIES), squeeze=False)
    for panels_of_row, (task, n) in zip(panels, rows, strict=True):
        for panel, family in zip(panels_of_row, FAMILIES, strict=True):
            panel.set_axis_off()
            if n in steps_of(family):
                panel.imshow(image_grid(samples(task, family, n, experiments_dir), 10), interpolation="nearest")
                panel.set_title(f"{task.dataset}, {family}, {n} {'step' if n == 1 else 'steps'}", fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer)
    PIL.Image.open(buffer).convert("L").quantize(32).save(path, format="PNG", optimize=True)  # a third of the bytes


def samples(task: Task, family: str, n_steps: int, experiments_dir: Path) -> Any:
    """Return the first samples of a family's run with the first seed, which the evaluation has made and kept."""
    import torch

    chosen = [
        run_id
        for run_id in run_ids(experiments_dir)
        if (config := plugins.saved_config(experiments_dir / run_id)).dataset == task.dataset
        and (config.family, config.seed) == (family, 0)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "samples.npz"
        pyml(
            "sample", chosen[0], "--n", IMAGES_SHOWN, "--n-steps", n_steps, "-o", file, experiments_dir=experiments_dir
        )
        images: NDArray[np.float32] = np.load(file)["images"]
    return torch.from_numpy(images)


if __name__ == "__main__":
    main()
