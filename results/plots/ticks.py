"""Ticks that can be read: few on a logarithmic axis, and labels that do not overlap."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def log_ticks(axis: Any) -> None:
    """Put few ticks on a logarithmic axis, at round numbers such as 1e-3, 3e-3, 0.01; none between them has a label."""
    from matplotlib.ticker import AutoLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    low, high = axis.get_view_interval()
    decades = math.log10(high / low) if 0 < low < high else 0.0
    if decades < 0.8:
        axis.set_major_locator(AutoLocator())
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1.5 else (1, 3) if decades < 4 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _position: short_number(value)))
    axis.set_minor_formatter(NullFormatter())


def short_number(value: float) -> str:
    """Return "3e-4", "0.03", "1", "30", "2e6": plain between 0.01 and 10,000."""
    text = f"{value:.6g}"
    if value == 0 or 0.01 <= abs(value) < 1e4:
        return text
    mantissa, _, exponent = f"{value:.6e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def readable_ticks(figure: Figure, axes: Sequence[Axes]) -> None:
    """Choose the ticks of logarithmic axes, and turn labels of the horizontal axis that would overlap."""
    for one in axes:
        if one.get_yscale() == "log":
            log_ticks(one.yaxis)
    figure.draw_without_rendering()
    for one in axes:
        boxes = [label.get_window_extent() for label in one.get_xticklabels() if label.get_text()]
        gap = 0.04 * figure.dpi
        if any(left.x1 + gap > right.x0 for left, right in itertools.pairwise(boxes)):
            one.tick_params(axis="x", labelrotation=35)
            for label in one.get_xticklabels():
                label.set_horizontalalignment("right")
                label.set_rotation_mode("anchor")
