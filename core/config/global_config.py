"""GlobalConfig: the settings of a machine."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
from attrs import frozen

from core.config import rules
from core.config.errors import ConfigError
from core.config.fields import check_fields, option


def _experiments_dir() -> Path:
    return Path(os.environ.get("PYML_EXPERIMENTS_DIR") or "experiments")


def _tracker() -> object:
    names = os.environ.get("PYML_TRACKER")
    return rules.names().parse(names) if names else ()


@frozen(kw_only=True)
class GlobalConfig:
    """Where runs are kept, on which device they run, and what tracks them: settings of a machine, not of a run.

    Raises:
        ConfigError: One or more values are not accepted; all faults are named at once.
    """

    experiments_dir: Path = option(
        attrs.Factory(_experiments_dir),
        rule=rules.path(),
        help="Directory that holds the runs.  [environment: PYML_EXPERIMENTS_DIR; default: ./experiments]",
    )
    device: str = option(
        "auto", rule=rules.device(), help="Device: auto, cpu, cuda or cuda:N. auto uses a GPU if there is one."
    )
    tracker: tuple[str, ...] = option(
        attrs.Factory(_tracker),
        rule=rules.names(),
        help="Tracker that gets the curve and the results while the run writes them, such as tensorboard. May be "
        "repeated.  [environment: PYML_TRACKER; default: none]",
    )

    def __attrs_post_init__(self) -> None:
        faults = check_fields(self)
        if faults:
            raise ConfigError(*faults)
