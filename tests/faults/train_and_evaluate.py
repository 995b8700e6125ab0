"""Train a small denoiser for two epochs and evaluate it, or continue a run that was cut short."""

import sys
from pathlib import Path

from core.cli import run
from core.commands.eval import evaluate
from core.commands.train import train
from core.runs.directory import run_ids

directory = Path(sys.argv[1])
where = ["--experiments-dir", str(directory), "--device", "cpu"]
small = ["--model", "mlp", "--hidden-layer-sizes", "8", "--n-epochs", "2", "--checkpoint-every-epochs", "1"]
small += ["--batch-size", "128", "--n-samples", "4", "--n-steps", "2"]
small += ["--validation-share", "0.1", "--keep-every-epochs", "2"]


def do(command: object, *arguments: str) -> None:
    try:
        run(command, [*arguments, *where], name="pyml")  # type: ignore[arg-type]  # a click command
    except SystemExit as ended:
        if ended.code:
            raise


with_checkpoint = [each for each in run_ids(directory) if (directory / each / "checkpoints" / "last.pt").exists()]
if with_checkpoint:
    do(train, "--resume", with_checkpoint[-1])
    do(evaluate, with_checkpoint[-1], "--evaluator", "denoising")
else:
    do(train, *small)
    do(evaluate, run_ids(directory)[-1], "--evaluator", "denoising")
