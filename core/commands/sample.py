"""``pyml-sample``: sample images from a run's model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from core import __version__, plugins
from core.commands.evaluation_command import EvaluationCommand, changed_fields, note_steps_of_meanflow
from core.commands.shards import parse_share
from core.commands.target import checkpoint_option, device_option, find_run, half_life_option, weights_option
from core.config.options import debug_option, experiments_dir_option, threads_option
from core.utils.output import say


class SampleCommand(EvaluationCommand):
    """Leaves out the fields of evaluations that do not change samples."""

    OWN = EvaluationCommand.OWN | {"exact_trace_up_to"}


@click.command(cls=SampleCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", metavar="RUN")
@click.option("--n", "n_samples", metavar="K", type=click.IntRange(1), help="Number of samples.  [default: the run's]")
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="File ending in .npz, or a directory for PNG files. Without it, samples are kept in the run's directory only.",
)
@click.option("--n-steps", metavar="K", type=click.IntRange(1), help="Number of sampler steps.  [default: the run's]")
@click.option("--seed", metavar="S", type=click.IntRange(0), help="Seed of the samples.  [default: the run's]")
@weights_option
@half_life_option
@checkpoint_option
@click.option(
    "--shard",
    metavar="I/N",
    callback=parse_share,
    default="1/1",
    help="Make only share I of N, as one of N processes.  [default: 1/1]",
)
@device_option
@threads_option
@experiments_dir_option
@debug_option
@click.version_option(__version__, prog_name=plugins.OURS)
@click.pass_context
def sample(
    ctx: click.Context,
    /,
    run: str,
    n_samples: int | None,
    output: Path | None,
    n_steps: int | None,
    seed: int | None,
    weights: str,
    ema_half_life_images: int | None,
    checkpoint: str,
    shard: tuple[int, int],
    device: str | None,
    threads: int | None,
    experiments_dir: str | None,
) -> None:
    """Sample images from a run's model, and write them to a file or a directory.

    RUN is a path, a run id, a unique prefix of an id, or latest. Samples are kept in the run's directory, so that
    a command that was stopped continues where it stopped, and pyml-eval uses the same samples.
    """
    import attrs

    run_path, saved, place = find_run(run, device, experiments_dir)
    own: dict[str, Any] = {"n_samples": n_samples, "n_steps": n_steps, "seed": seed}
    changes = {name: value for name, value in own.items() if value is not None} | changed_fields(ctx, saved)
    config = attrs.evolve(saved, **changes)
    note_steps_of_meanflow(saved, changes, are_given=n_steps is not None)

    from core.commands.progress_bar import reporting
    from core.diffusion.devices import use_threads
    from core.diffusion.make_samples import make_samples
    from core.utils.signals import StopSignals

    use_threads(threads)
    with StopSignals(deferred=False), reporting() as progress:
        made, path = make_samples(
            config, run_path, output, weights, ema_half_life_images, checkpoint, place, shard, progress
        )
    if made < config.n_samples:
        say(f"{made:,} of {config.n_samples:,} samples are made; the others belong to other shares. Kept in {path}")
    else:
        say(f"{made:,} samples. Written to {output}" if output else f"{made:,} samples. Kept in {path}")
