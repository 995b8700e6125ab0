"""Escape text for Markdown, CSV and HTML, so that no name can be read as markup or a formula."""

from __future__ import annotations

import html
import re

from core.runs.strict_json import encode_float
from core.utils.output import printable, printable_lines
from results.text.labels import spell
from results.text.private import public

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MARKDOWN = re.compile(r"([\\`*_\[\]|~$])")
_AFTER_SEPARATOR = re.compile(r"(?<=[,;\t])(?=\s*[=+@＝＋－＠-])")
_INVISIBLE_START = re.compile(r"^[\s\x00-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")


def html_text(text: str) -> str:
    """Escape text for an HTML element or a quoted attribute."""
    return html.escape(printable_lines(public(text), keep="\n\t\N{NO-BREAK SPACE}"), quote=True)


def markdown_text(text: str) -> str:
    """Escape text for a cell of a Markdown table. Line ends become spaces."""
    one_line = printable(" ".join(text.split()))
    escaped = _MARKDOWN.sub(r"\\\1", one_line.replace("&", "&amp;"))
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


def csv_text(text: str) -> str:
    """Return text that a spreadsheet does not run as a formula: it gets a leading apostrophe if necessary.

    Source: OWASP, "CSV Injection".
    """
    is_formula = text.startswith(FORMULA_STARTS) or _INVISIBLE_START.sub("", text).startswith(FORMULA_STARTS)
    return f"'{printable_lines(text)}" if is_formula else printable_lines(text)


def csv_cell(value: object) -> object:
    """Return a value as it is written to CSV: full precision, empty for NaN or None, formulas escaped."""
    if isinstance(value, float):
        return "" if value != value else encode_float(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    return csv_text(spell(value))


def csv_comment(text: str) -> str:
    """Return a comment line for CSV. Formulas in it are escaped, because spreadsheets do not skip comments."""
    return "# " + _AFTER_SEPARATOR.sub("'", printable_lines(text))


def comment_text(text: str) -> str:
    """Escape text for an HTML or Markdown comment: it must not contain the comment's end."""
    return printable_lines(text).replace("-->", "--&gt;").replace("--!>", "--!&gt;")
