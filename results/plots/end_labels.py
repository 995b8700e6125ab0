"""Labels at the ends of lines, spread so that they do not overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

END_LABEL = "end label"  # the gid of these texts
END_WIDTH = 20  # characters
POINTS = 7.5
LINE_HEIGHT = 1.2
# Dotted, since a stroke of a line that ends early looks like more of the line. It begins at the text's left edge: to
# find where it leaves the text would take most of the time of a plot.
STROKE = {"linestyle": ":", "relpos": (0.0, 0.5), "patchA": None, "shrinkA": 0, "shrinkB": 0}
PLACE = 1.03  # right of the panel, as a fraction of its width


def add_end_label(
    panel: Axes, xs: Sequence[float], ys: Sequence[float], text: str, colour: str, nudge: float = 0.0
) -> None:
    """Write the label of a line right of the panel, joined to the line's last finite point by a thin stroke.

    Args:
        panel: The panel.
        xs: Horizontal positions of the line.
        ys: Its values.
        text: The label, in one line.
        colour: That of the line.
        nudge: Shift of the line to the right, in points (1/72 inch).
    """
    from matplotlib.transforms import ScaledTranslation

    ends = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
    if not ends:
        return
    panel.annotate(
        text,
        ends[-1],
        xycoords=panel.transData + ScaledTranslation(nudge / 72, 0, panel.figure.dpi_scale_trans),
        xytext=(PLACE, 0.5),
        textcoords="axes fraction",
        fontsize=POINTS,
        color=colour,
        va="center",
        annotation_clip=False,
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "alpha": 0.6, **STROKE},
        gid=END_LABEL,
    )


def end_labels(panel: Axes) -> list[Any]:
    """Return the texts that ``add_end_label`` added."""
    return [text for text in panel.texts if text.get_gid() == END_LABEL]


def spread_end_labels(panel: Axes) -> None:
    """Move the labels up or down, so that each is as close to its line as the others allow.

    If the panel is too low for all of them, they are hidden: the legend names the lines too.
    """
    texts = end_labels(panel)
    if not texts:
        return
    height = POINTS * LINE_HEIGHT * panel.figure.dpi / 72 / panel.get_window_extent().height
    ends = [panel.transAxes.inverted().transform(panel.transData.transform(text.xy))[1] for text in texts]
    places = spread(ends, height, (height / 2, 1 - height / 2))
    for text, place in zip(texts, places or ends, strict=True):
        text.set_position((PLACE, place))
        text.set_visible(bool(places))


def spread(wanted: Sequence[float], distance: float, limits: tuple[float, float]) -> list[float]:
    """Return positions at least this far apart, as close as possible to those wanted (least squares); [] if none fit.

    With the distances subtracted, this is isotonic regression.
    """
    import numpy as np
    from scipy.optimize import isotonic_regression

    steps = distance * np.arange(len(wanted))
    lowest, highest = limits[0], limits[1] - steps[-1]
    if lowest > highest:
        return []
    order = np.argsort(wanted, kind="stable")
    fitted = isotonic_regression(np.asarray(wanted, dtype=float)[order] - steps).x
    found = np.empty(len(wanted))
    found[order] = np.clip(fitted, lowest, highest) + steps
    return [float(place) for place in found]
