"""Show sample grids of several runs side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.config.errors import ConfigError
from core.runs.open_file import RefusedFileError, directory_inside
from core.runs.sample_pictures import read_picture
from results.groups import Group, name_groups, seed_order
from results.plots.figure import new_figure, plain
from results.plots.look import DEFAULT, Look
from results.plots.room import finish, wrapped
from results.run import Run
from results.text.labels import shortened, spell

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

MOST_GRIDS = 24
LONGEST_SEED = 20  # characters


def newest_grid(run: Run) -> Path | None:
    """Return the path of the run's newest image in samples/, or None."""
    try:
        directory = directory_inside(run.path, "samples")
    except RefusedFileError:
        return None
    pictures = [path for path in directory.glob("**/*.png") if path.is_file()]
    return max(pictures, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)


def grids_of(groups: Sequence[Group], *, each_run: bool = False, names: Sequence[str] = ()) -> list[tuple[str, Path]]:
    """Return titles and paths of the newest sample grids.

    Args:
        groups: The groups.
        each_run: Return the grid of every run. Default: one per group, of the smallest seed that has a grid.
        names: The short names of the groups; none: those that tell these groups apart.
    """
    found = []
    for group, name in zip(groups, names or name_groups(groups).names, strict=True):
        runs = sorted(group.replicates.items(), key=lambda pair: seed_order(pair[0]))
        with_grid = [(seed, grid) for seed, run in runs if (grid := newest_grid(run))]
        for seed, grid in with_grid if each_run else with_grid[:1]:
            found.append((f"{name}, seed {shortened(spell(seed), LONGEST_SEED)}", grid))
    return found


def plot_samples(
    groups: Sequence[Group], *, each_run: bool = False, look: Look = DEFAULT, notes: Sequence[str] = ()
) -> Figure:
    """Show the newest sample grids side by side, each with the label of its group and its seed.

    Args:
        groups: The groups.
        each_run: Show the grid of every run. Default: one per group, of the smallest seed that has a grid.
        look: Size and style.
        notes: Sentences for the end of the caption.

    Raises:
        ConfigError: No finished run has an image, or there are more than ``MOST_GRIDS``.
    """
    found = grids_of(groups, each_run=each_run)
    if not found:
        raise ConfigError("no finished run has sample images (samples/*.png). Create them with: pyml-eval RUN.")
    if len(found) > MOST_GRIDS:
        raise ConfigError(f"cannot show {len(found)} grids; at most {MOST_GRIDS}. Select fewer runs with --where.")
    pictures = [_open(path) for _, path in found]
    width = 4.2
    height = width * max(picture.height / picture.width for picture in pictures) + 0.4
    figure, axes = new_figure(len(found), n_columns=3, panel=(width, height), size=look.size)
    panel_width = figure.get_size_inches()[0] / min(len(found), 3) - 0.2
    for (title, _), picture, panel in zip(found, pictures, axes, strict=True):
        panel.imshow(picture, interpolation="nearest")
        panel.set_title(wrapped(plain(title), panel_width, 9), fontsize=9)
        panel.set_axis_off()
    labels = name_groups(groups)
    text = "Each grid: the newest image in samples/ of one run. Images are not selected by hand."
    legend = [f"{line}." for line in labels.legend]
    caption = " ".join(filter(None, [text, *legend, labels.note(), *notes]))
    finish(figure, axes, plain(caption), look)
    return figure


def _open(path: Path) -> Image.Image:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(read_picture(path))) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise ConfigError(f"{path}: cannot be read as an image ({error}).") from None
