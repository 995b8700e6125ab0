"""Text in other languages: whatever a name holds, it stays text in Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

import html
import re

from core.runs.strict_json import encode_float
from results.text.labels import spell

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MARKDOWN = re.compile(r"([\\`*_\[\]|~$])")
_AFTER_SEPARATOR = re.compile(r"(?<=[,;\t])(?=\s*[=+@＝＋－＠-])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "×": r"$\times$",
    "[": "{[}",  # after \\ a bare [ would begin an optional argument
    "]": "{]}",
}


def html_text(text: str) -> str:
    """Escape text for an HTML element or a quoted attribute."""
    return html.escape(text, quote=True)


def markdown_text(text: str) -> str:
    """Escape text for a cell of a Markdown table: no markup, no link, no HTML, no line end."""
    one_line = " ".join(text.split())
    escaped = _MARKDOWN.sub(r"\\\1", one_line.replace("&", "&amp;"))
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


def latex_text(text: str) -> str:
    """Escape text for LaTeX: no command, no comment, no end of a cell."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def csv_text(text: str) -> str:
    """Keep a spreadsheet from taking text for a formula: an apostrophe in front makes it text.

    Source: OWASP, "CSV Injection".
    """
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA_STARTS) or text.startswith(FORMULA_STARTS) else text


def csv_cell(value: object) -> object:
    """Return what stands for a value in a CSV file: numbers in full, unknown ones empty, text that is no formula."""
    if isinstance(value, float):
        return "" if value != value else encode_float(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    return csv_text(spell(value))


def csv_comment(text: str) -> str:
    """Write a line of comment that readers skip, and whose parts a spreadsheet that does not takes for text, too."""
    return "# " + _AFTER_SEPARATOR.sub("'", text)


def comment_text(text: str) -> str:
    """Keep text from ending an HTML or Markdown comment."""
    return text.replace("-->", "--&gt;").replace("--!>", "--!&gt;")
