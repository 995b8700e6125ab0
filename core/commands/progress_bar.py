"""Progress of long work: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from core.utils.formatting import format_duration
from core.utils.output import say
from core.utils.progress import Progress, silent

LINE_EVERY_S = 10.0


@contextlib.contextmanager
def reporting(*, quiet: bool = False) -> Iterator[Progress]:
    """Yield a callback ``(step, n_steps_total, text)`` that shows progress on stderr. Calls at every step are cheap.

    If ``quiet``, the callback shows nothing.
    """
    if quiet:
        yield silent
    elif sys.stderr is not None and sys.stderr.isatty():
        with _bar() as progress:
            yield progress
    else:
        yield _lines()


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    # rich sends stdout to the bar's console, which is stderr; a pipe or a file must get its lines all the same.
    to_terminal = sys.stdout is not None and sys.stdout.isatty()
    bar = Bar(*columns, console=Console(stderr=True), redirect_stdout=to_terminal)
    task = bar.add_task("", total=None)
    last_s = 0.0

    def show(step: int, n_steps_total: int, text: str) -> None:
        nonlocal last_s
        if time.monotonic() - last_s > 0.1 or step == n_steps_total:  # a bar's update costs 10 µs, a step 1 ms
            last_s = time.monotonic()
            with contextlib.suppress(OSError):  # the terminal may be gone; the work continues
                bar.start()  # now, so that what is said before the first step stands above the bar
                bar.update(task, completed=step, total=n_steps_total, description=text)
                if step == n_steps_total:
                    bar.stop()  # so that results stand below the full bar, not in its line

    try:
        yield show
    finally:
        with contextlib.suppress(OSError):
            bar.stop()


def _lines() -> Progress:
    start_s = last_s = time.monotonic()

    def show(step: int, n_steps_total: int, text: str) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if step != n_steps_total and now_s - last_s < LINE_EVERY_S:
            return
        last_s = now_s
        say(f"{step:,}/{n_steps_total:,}  {text}  ({format_duration(now_s - start_s)})", err=True)

    return show
