"""The run directory: ``Run`` for one's own training loop, one module for each file of a run, and finding runs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.runs.run import Run as Run

__all__ = ["Run"]


def __getattr__(name: str) -> Any:
    """Import ``Run`` on first use: it needs NumPy, which the command line starts without."""
    if name != "Run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from core.runs.run import Run

    return Run
