"""Config files that users write: a table of fields, in TOML or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.config.errors import ConfigError


def read_table(path: Path) -> dict[str, Any]:
    """Return the table that a file holds.

    Raises:
        ConfigError: The file is missing, unreadable, not TOML or JSON, or not a table.
    """
    import tomllib  # here, because most commands read no such file

    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a config file: {error}.") from None
    if path.suffix not in {".toml", ".json"}:
        raise ConfigError(f"{path}: got a file named {path.suffix or 'without suffix'}; accepted: .toml or .json.")
    try:
        table = tomllib.loads(content) if path.suffix == ".toml" else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid {path.suffix[1:].upper()}: {error}.") from None
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: got a {type(table).__name__}; accepted: a table of fields.")
    return table
