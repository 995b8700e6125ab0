"""How a notebook shows a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core.runs.status import RunState
from core.utils.records import ResultRecord
from core.utils.tables import html_pairs, html_table


def run_html(run_id: str, status: RunState, config: Mapping[str, Any], results: Iterable[ResultRecord]) -> str:
    """Return a run's id, status, config and results as HTML.

    Args:
        run_id: The name of its directory.
        status: How it is doing.
        config: Its fields.
        results: The newest complete results.
    """
    reason = f": {status.reason}" if status.reason else ""
    about = {"run": run_id, "status": f"{status}{reason}", **{f"config.{name}": config[name] for name in config}}
    return html_pairs(about) + html_table(list(results))
