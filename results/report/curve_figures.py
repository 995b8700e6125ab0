"""Training curves of the report: small figures, one legend for all of them, and their values for the pointer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from results.curve import GroupCurve, curve_names, group_curves
from results.groups import Group
from results.plots.curves import CurveOptions, curve_caption, draw_curves
from results.plots.figure import render
from results.plots.line_styles import FEW_LINES, MOST_LINES, styles
from results.plots.look import Look
from results.report.html import Html, element, picture
from results.text.labels import count, printable
from results.text.private import public
from results.text.short_labels import ShortLabels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CURVES = 6
MOST_POINTS = 100  # of a curve; more cannot be told apart at this size
PAGE_LOOK = Look(size=(4.6, 3.2), bare=True)
DASHES = {"-": "", "--": "6 3", ":": "2 2"}


def curves(groups: Sequence[Group], labels: ShortLabels, level: float) -> list[Html]:
    """Return the training curves, one figure per measure, with one legend and one caption.

    Args:
        groups: The groups with finished runs; the first ``MOST_LINES`` are drawn.
        labels: Their short labels.
        level: Coverage of the bands, Student's t interval over runs.
    """
    shown, labels = groups[:MOST_LINES], labels.first(MOST_LINES)
    names = curve_names(shown)[:MOST_CURVES]
    if not names:
        return []
    whole = [group_curves(group, names, "step", level) for group in shown]
    drawn = [{name: thinned(curve, MOST_POINTS) for name, curve in found.items()} for found in whole]
    options = CurveOptions(level=level, seeds=len(shown) <= FEW_LINES, look=PAGE_LOOK)
    figures = []
    for name in names:
        only = [{name: found[name]} if name in found else {} for found in drawn]
        figure = draw_curves(shown, [name], only, options, labels)
        content = render(figure, ".svg", name, font="path", transparent=True)
        alternative = f"Training curve of {printable(name)}: mean over runs with a {100 * level:g}% t interval"
        values = _values(figure, labels, [found.get(name) for found in only], len(shown))
        figures.append(picture(content, "svg+xml", f"{alternative}, for each group", printable(name), values=values))
    notes = curve_caption(shown, whole, options, labels)
    if any(len(curve.positions) > MOST_POINTS for found in whole for curve in found.values()):
        notes += f" Of each curve, {MOST_POINTS} points are drawn."
    notes = " ".join(filter(None, [notes, cut_off(len(groups))]))
    parts = [element("h2", "Training curves"), legend(labels, len(shown))]
    parts += [element("div", *figures, class_="figures"), element("p", printable(notes), class_="note")]
    return parts


def legend(labels: ShortLabels, n: int) -> Html:
    """Return the legend of the first n groups: a piece of the line, and the name with what it stands for."""
    entries = []
    for i, style in enumerate(styles(n)):
        dash = f' stroke-dasharray="{DASHES[style["linestyle"]]}"' if DASHES[style["linestyle"]] else ""
        line = f'<svg width="28" height="8" aria-hidden="true"><line x2="28" y1="4" y2="4" stroke="{style["color"]}"'
        entries.append(element("li", Html(f'{line} stroke-width="2.5"{dash}/></svg>'), " ", labels.entry(i)))
    return element("ul", *entries, class_="legend")


def thinned(curve: GroupCurve, most: int) -> GroupCurve:
    """Return at most ``most`` points of a curve, evenly chosen; the first and the last stay."""
    n = len(curve.positions)
    if n <= most:
        return curve
    chosen = sorted({round(i * (n - 1) / (most - 1)) for i in range(most)})
    kept = {curve.positions[i] for i in chosen}
    runs = {seed: tuple(point for point in points if point[0] in kept) for seed, points in curve.runs.items()}
    positions = tuple(curve.positions[i] for i in chosen)
    return GroupCurve(positions, tuple(curve.summaries[i] for i in chosen), runs)


def _values(figure: Figure, labels: ShortLabels, found: Sequence[GroupCurve | None], n: int) -> str:
    """Return as JSON what the script needs to show the values below the pointer."""
    panel = figure.axes[0]
    place = panel.get_position()
    lines = [
        {
            "name": public(labels.names[i]),
            "colour": style["color"],
            "x": curve.positions,
            "y": [_number(summary.mean) for summary in curve.summaries],
            "low": [_number(summary.ci_low) for summary in curve.summaries],
            "high": [_number(summary.ci_high) for summary in curve.summaries],
            "n": curve.n_text,
        }
        for i, (curve, style) in enumerate(zip(found, styles(n), strict=True))
        if curve is not None
    ]
    content: Mapping[str, Any] = {
        "box": [_number(v) for v in (place.x0, 1 - place.y1, place.x1, 1 - place.y0)],
        "x": [_number(v) for v in panel.get_xlim()],
        "y": [_number(v) for v in panel.get_ylim()],
        "lines": lines,
    }
    return json.dumps(content, separators=(",", ":"))


def _number(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def cut_off(n_groups: int) -> str:
    """Return a sentence if not all groups are drawn, else ""."""
    more = f"Curves are drawn for the first {MOST_LINES} of {count(n_groups, 'group')}. Select fewer runs with --where."
    return more if n_groups > MOST_LINES else ""
