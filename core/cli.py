"""The command line: a group whose commands are plugins, the console scripts, and how errors are reported."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn, TextIO

import click

from core import __version__, plugins
from core.config.errors import ConfigError, unknown_name
from core.config.options import debug_option
from core.utils.output import open_standard_streams, say
from core.utils.signals import RunInterrupted

DEBUG = "--debug"


class PluginGroup(click.Group):
    """A group of the commands registered under ``pyml.commands``; listed without being imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all registered commands."""
        return plugins.names(plugins.COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; ConfigError with the nearest name where there is none."""
        command: click.Command = plugins.load(plugins.COMMANDS, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name."""
        if args[0] not in self.list_commands(ctx) and plugins.names(plugins.COMMANDS):
            raise unknown_name("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with the first line of their help, read from their source without importing it."""
        from core.commands.summary import summary_of

        rows = [(plugin.name, summary_of(plugin)) for plugin in plugins.registered(plugins.COMMANDS)]
        with formatter.section("Commands"):
            if rows:
                formatter.write_dl(rows)
            else:
                formatter.write_text("none is registered. Is pyml-core installed? Try: pip install -e .")


@click.group(cls=PluginGroup, context_settings={"help_option_names": ["-h", "--help"]})
@debug_option
@click.version_option(__version__, prog_name=plugins.OURS)
def group() -> None:
    """Train and evaluate models and compare many runs; every number comes with its error."""


def run(command: click.Command, arguments: Sequence[str] | None = None, name: str | None = None) -> NoReturn:
    """Run a command and exit: 0 done, 1 the run failed, 2 wrong usage, 130 and 143 interrupted.

    An error is one clear message; its traceback shows only with ``--debug``.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show "±" shows "?"
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _say_warning
            code = command.main(given, prog_name=name, standalone_mode=False)
    except BrokenPipeError:  # the reader of our output has ended, as in "runs | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if DEBUG in given:
            raise
        sys.exit(report(error))
    except RunInterrupted as stopped:
        notes = "".join(f" {note}" for note in getattr(stopped, "__notes__", []))
        say(f"Stopped: {stopped}.{notes}", err=True)
        sys.exit(stopped.exit_code)
    except KeyboardInterrupt:
        say("Interrupted.", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _say_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Replace ``warnings.showwarning``, which would also show the line of our code that warned."""
    say(f"Warning: {message}", err=True)


def report(error: Exception) -> int:
    """Print one message for an error that ended a command and return the exit code it stands for.

    It goes to stderr, or to stdout where stderr is closed: every command says how it ended.
    """
    is_open = sys.stderr is not None
    if isinstance(error, click.ClickException):
        shown = io.StringIO()
        error.show(shown)
        say(shown.getvalue().rstrip("\n"), err=is_open)
        return 2 if isinstance(error, click.UsageError) else 1
    if isinstance(error, click.exceptions.Abort):
        say("Interrupted.", err=is_open)
        return 130
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", []))
    if isinstance(error, ConfigError):
        for fault in error.faults:
            say(f"Error: {fault}{notes}", err=is_open)
        return 2
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        say("Error: this command needs PyTorch, which is not installed. Try: pip install torch", err=is_open)
        return 1
    kind = "" if isinstance(error, plugins.PluginError) else f"{type(error).__name__}: "
    say(f"Error: {kind}{error}{notes}\n(add {DEBUG} for the traceback)", err=is_open)
    return 1


def main() -> NoReturn:
    """Run ``python -m core``."""
    run(group, name="python -m core")


def pyml_main() -> NoReturn:
    """Run ``pyml``."""
    run(group, name="pyml")


def train_main() -> NoReturn:
    """Run ``pyml-train``."""
    from core.commands.train import train

    run(train, name="pyml-train")


def eval_main() -> NoReturn:
    """Run ``pyml-eval``."""
    from core.commands.eval import evaluate

    run(evaluate, name="pyml-eval")


def sample_main() -> NoReturn:
    """Run ``pyml-sample``."""
    from core.commands.sample import sample

    run(sample, name="pyml-sample")
