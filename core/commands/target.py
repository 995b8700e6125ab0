"""The run that ``pyml-eval``, ``pyml-sample`` and ``pyml merge`` work on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from core import plugins

if TYPE_CHECKING:
    from core.config.config import ModelConfig


weights_option = click.option(
    "--weights",
    type=click.Choice(["ema", "raw"]),
    default="ema",
    show_default=True,
    help="Weights of the model: the moving average (ema), or those of the last step (raw).",
)
half_life_option = click.option(
    "--ema-half-life-images",
    metavar="N",
    type=click.IntRange(1),
    help="Moving average to use, by its half-life in training images, of a run that has several.  [default: its first]",
)
checkpoint_option = click.option(
    "--checkpoint",
    metavar="NAME",
    default="last",
    show_default=True,
    help="Checkpoint to use: last, best (of a run with --validation-share), or step-N (of one with "
    "--keep-every-epochs).",
)
device_option = click.option("--device", metavar="D", help="Device: auto, cpu, cuda or cuda:N.  [default: auto]")


def find_run(run: str, device: str | None, experiments_dir: str | None) -> tuple[Path, ModelConfig, str]:
    """Return a run's directory, its saved config, and the device to use.

    Args:
        run: A path, a run id, a unique prefix of one, or ``latest``.
        device: The value of ``--device``; None where it was not given.
        experiments_dir: The value of ``--experiments-dir``; None where it was not given.

    Raises:
        ConfigError: An option is not accepted, no run or several have this name, or the config cannot be read.
    """
    from core.config.config import GlobalConfig
    from core.config.load import Layer, build_config
    from core.runs.directory import resolve_run

    options = {"device": device, "experiments_dir": experiments_dir}
    given = {name: value for name, value in options.items() if value is not None}
    everywhere = build_config(GlobalConfig, Layer("command line", given, is_text=True))
    run_path = resolve_run(run, everywhere.experiments_dir)
    return run_path, plugins.saved_config(run_path), everywhere.device
