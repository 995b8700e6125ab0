"""Click options: those of a config class, one per field, and those that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

import attrs
import click

from core.config.config import GlobalConfig
from core.config.fields import evaluation_fields, rule_of
from core.config.rules import NAMES

Function = TypeVar("Function", bound=Callable[..., Any])


class SummaryGroup(click.Group):
    """A command group whose help shows the first paragraph of each command's help in full; Click cuts it off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their summaries."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        helps = {name: (command and command.help) or "" for name, command in commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl([(name, " ".join(text.partition("\n\n")[0].split())) for name, text in helps.items()])


def debug_option(command: Function) -> Function:
    """Add --debug, which ``core.cli.run`` looks for."""
    words = "Show the traceback of an error."
    return click.option("--debug", is_flag=True, expose_value=False, help=words)(command)


def experiments_dir_option(command: Function) -> Function:
    """Add --experiments-dir, with the help text of ``GlobalConfig``."""
    words = str(attrs.fields(GlobalConfig).experiments_dir.metadata["help"])
    return click.option("--experiments-dir", metavar="PATH", help=words)(command)


def threads_option(command: Function) -> Function:
    """Add --threads, the number of CPU threads; None leaves PyTorch's own choice."""
    words = "Number of CPU threads. On a busy machine, fewer are faster.  [default: PyTorch's choice]"
    return click.option("--threads", metavar="N", type=click.IntRange(1), help=words)(command)


def workers_option(command: Function) -> Function:
    """Add --n-workers, the number of threads that read image files; None: as many as compute."""
    words = "Number of threads that read the images of 'folder'.  [default: as many as compute]"
    return click.option("--n-workers", metavar="N", type=click.IntRange(1), help=words)(command)


def options_of(cls: type[Any]) -> list[click.Option]:
    """Return one option per field of an attrs config class that the command line offers.

    Values arrive as text (None where not given): ``core.config.load.build_config`` parses them with the field's own
    rule, so that all faults of a command line are reported at once.
    """
    return [_option(attribute) for attribute in attrs.fields(cls) if attribute.metadata.get("cli", True)]


def evaluation_options(cls: type[Any], except_for: Collection[str] = ()) -> list[click.Option]:
    """Return one option for each field of a config class that changes only evaluations; the run gives the default.

    Args:
        cls: The config class.
        except_for: Names of fields for which the command has an option of its own.
    """
    names = set(evaluation_fields(cls)) - set(except_for)
    return [_option(attribute, "the run's") for attribute in attrs.fields(cls) if attribute.name in names]


def _option(attribute: attrs.Attribute[Any], default: str | None = None) -> click.Option:
    rule, words = rule_of(attribute), str(attribute.metadata["help"])
    dashed = attribute.name.replace("_", "-")
    if default is not None:
        words += f"  [default: {default}]"
    elif not isinstance(attribute.default, attrs.Factory):  # type: ignore[arg-type] # a class, typed as a function
        words += f"  [default: {_spell(attribute.default)}]"
    if rule.metavar == "BOOLEAN":
        flags = [f"--{dashed}", f"--no-{dashed}"]
        return click.Option([attribute.name, "/".join(flags)], help=words, default=None, callback=_flag_text)
    if rule.metavar == NAMES:
        declared = [f"--{dashed}", attribute.name]
        return click.Option(declared, metavar="NAME", help=words, multiple=True, callback=_joined)
    return click.Option([f"--{dashed}", attribute.name], metavar=rule.metavar, help=words, type=str, default=None)


def _joined(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> str | None:
    """Return the values of an option that may be repeated as one text; None where it was not given."""
    return ",".join(values) if values else None


def _flag_text(_context: click.Context, _parameter: click.Parameter, value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


def _spell(default: object) -> str:
    """Return a default as text that the command line accepts."""
    if isinstance(default, tuple):
        return ",".join(str(item) for item in default)
    if isinstance(default, bool):
        return str(default).lower()
    return "none" if default is None else str(default)
