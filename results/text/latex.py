"""Text for LaTeX: ASCII that compiles with any engine, whatever characters a name holds."""

from __future__ import annotations

import re
import unicodedata

from core.utils.output import printable

_SPECIAL = {
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
    "[": "{[}",  # after \\ a plain [ would start an optional argument
    "]": "{]}",
    "±": r"$\pm$",
    "−": r"$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≠": r"$\ne$",
    "∞": r"$\infty$",
    "→": r"$\rightarrow$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "²": r"$^2$",
    "³": r"$^3$",
    "°": r"$^\circ$",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}
_POWER = re.compile(r"\((-?[\d.]+) ± ([\d.]+)\)e([+-]\d+)(.*)")
_ALPHA, _CAPITAL_ALPHA = 0x3B1, 0x391
_GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu"),
    *("xi", "omicron", "pi", "rho", "varsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
_WITHOUT_COMMAND = {"omicron": "o"}
_CAPITALS = {"gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "upsilon", "phi", "psi", "omega"}


def latex_text(text: str) -> str:
    """Escape text for a cell of a LaTeX table. Line ends become spaces.

    The result is ASCII: accents and Greek letters become commands, and a character without one its code, such as
    U+4E2D, because pdfTeX stops at characters that its fonts lack.
    """
    return "".join(map(_escaped, printable(" ".join(text.split()))))


def latex_comment(line: str) -> str:
    """Return a line of text as a LaTeX comment in ASCII: other characters become their code, such as U+4E2D."""
    return "% " + "".join(c if c.isascii() else f"U+{ord(c):04X}" for c in printable(" ".join(line.split())))


def latex_cell(text: str) -> str:
    """Escape the text of a cell, with a power of ten such as in "(2.0 ± 2.5)e-07" as a power."""
    match = _POWER.fullmatch(text)
    if not match:
        return latex_text(text)
    mean, error, exponent, rest = match.groups()
    after = f" {latex_text(rest)}" if rest else ""
    return rf"$({mean} \pm {error}) \times 10^{{{int(exponent)}}}${after}"


def _escaped(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii():
        return character
    return _accented(character) or _greek(character) or rf"\texttt{{U+{ord(character):04X}}}"


def _accented(character: str) -> str:
    parts = unicodedata.normalize("NFD", character)
    if len(parts) != 2 or not parts[0].isascii() or not parts[0].isalpha() or parts[1] not in _ACCENTS:
        return ""
    return rf"\{_ACCENTS[parts[1]]}{{{parts[0]}}}"


def _greek(character: str) -> str:
    code = ord("μ" if character == "µ" else character)  # the micro sign is not the letter
    for first, is_capital in ((_ALPHA, False), (_CAPITAL_ALPHA, True)):
        if first <= code < first + len(_GREEK):
            name = _GREEK[code - first]
            if is_capital:
                return rf"$\{name.capitalize()}$" if name in _CAPITALS else ""
            return f"${_WITHOUT_COMMAND[name]}$" if name in _WITHOUT_COMMAND else rf"$\{name}$"
    return ""
