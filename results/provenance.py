"""What made a file: the command, the runs, the versions of their code."""

from __future__ import annotations

import importlib.metadata
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
from attrs import frozen

from results.groups import Group
from results.text.labels import printable


@frozen
class Provenance:
    """What made a table, a plot or a report.

    Attributes:
        command: The command line, quoted for a shell.
        version: Version of pyml-core that made it.
        made_at: UTC, ISO 8601.
        runs: Ids of the runs that count, by the label of their group.
        code_versions: Code of the runs (distribution, version, commit), with the number of runs.
    """

    command: str
    version: str
    made_at: str
    runs: dict[str, list[str]]
    code_versions: dict[str, int]

    def lines(self) -> list[str]:
        """Return it as lines of text without control characters."""
        lines = [f"Made by: {self.command}", f"pyml-core {self.version}, {self.made_at}"]
        lines += [f"Code of {n:,} run{'s' * (n != 1)}: {version}" for version, n in self.code_versions.items()]
        lines += [f"Runs of {label or 'the one group'}: {', '.join(ids) or 'none'}" for label, ids in self.runs.items()]
        return list(map(printable, lines))

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON-able dict."""
        return attrs.asdict(self)


def provenance(groups: Sequence[Group]) -> Provenance:
    """Describe the running command and the runs that it shows."""
    replicates = [run for group in groups for run in group.replicates.values()]
    return Provenance(
        command_line(),
        version(),
        datetime.now(UTC).isoformat(timespec="seconds"),
        {group.label: [run.id for run in group.replicates.values()] for group in groups},
        dict(Counter(run.code_version for run in replicates)),
    )


def command_line() -> str:
    """Return the running command, as one would type it."""
    program = "python -m core" if sys.argv[0].endswith(("__main__.py", "-m")) else sys.argv[0].rpartition("/")[2]
    return f"{program} {shlex.join(sys.argv[1:])}".rstrip()


def version() -> str:
    """Return the installed version of pyml-core, "unknown" where it is not installed."""
    try:
        return importlib.metadata.version("pyml-core")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
