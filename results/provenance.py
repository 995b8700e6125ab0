"""Provenance of a written file: the command, the runs and the versions of their code."""

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

from core.runs.redact import redacted
from results.groups import Group
from results.text.labels import printable


@frozen
class Provenance:
    """Provenance of a table, a plot or a report.

    Attributes:
        command: The command line that wrote the file, quoted for a shell.
        version: Version of pyml-core that wrote it.
        made_at: Time of writing in UTC, ISO 8601.
        runs: Ids of the replicates, by the label of their group. Equal labels, such as of groups with the values 1 and
            "1", are numbered.
        code_versions: Number of runs for each version of the code (distribution, version, commit).
    """

    command: str
    version: str
    made_at: str
    runs: dict[str, list[str]]
    code_versions: dict[str, int]

    def lines(self) -> list[str]:
        """Return the provenance as lines of text without control characters."""
        lines = [f"Made by: {self.command}", f"pyml-core {self.version}, {self.made_at}"]
        lines += [f"Code of {n:,} run{'s' * (n != 1)}: {version}" for version, n in self.code_versions.items()]
        lines += [f"Runs of {label or 'the one group'}: {', '.join(ids) or 'none'}" for label, ids in self.runs.items()]
        return list(map(printable, lines))

    def as_dict(self) -> dict[str, Any]:
        """Return the provenance as a dict that JSON can hold."""
        return attrs.asdict(self)


def provenance(groups: Sequence[Group]) -> Provenance:
    """Return the provenance of what the running command writes about these groups."""
    replicates = [run for group in groups for run in group.replicates.values()]
    return Provenance(
        command_line(),
        version(),
        datetime.now(UTC).isoformat(timespec="seconds"),
        dict(zip(_distinct_labels(groups), ([run.id for run in g.replicates.values()] for g in groups), strict=True)),
        dict(Counter(run.code_version for run in replicates)),
    )


def _distinct_labels(groups: Sequence[Group]) -> list[str]:
    labels: dict[str, None] = {}
    for group in groups:
        label, n = group.label, 1
        while label in labels:
            n += 1
            label = f"{group.label} ({n})"
        labels[label] = None
    return list(labels)


def command_line() -> str:
    """Return the running command as a user would type it, without values that look secret."""
    program = "python -m core" if sys.argv[0].endswith(("__main__.py", "-m")) else sys.argv[0].rpartition("/")[2]
    return f"{program} {shlex.join(redacted(sys.argv[1:]))}".rstrip()


def version() -> str:
    """Return the installed version of pyml-core, or "unknown" if it is not installed."""
    try:
        return importlib.metadata.version("pyml-core")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
