"""Build HTML: elements, attributes, and the escaping of all text of the report."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Sequence

from attrs import frozen

from results.text.escaping import html_text


@frozen
class Html:
    """HTML markup that needs no further escaping."""

    markup: str


@frozen
class Cell:
    """A cell of a table.

    Attributes:
        text: The text; it is escaped on output.
        is_best: Show the text in bold.
        kind: CSS class: "number", "words", "long" (breaks anywhere) or "age" (not printed). Empty: "number" or "words",
            by the column.
        small: A second line in small print.
        small_label: What stands before it on a screen; on paper it stands in brackets instead.
        sort: What the column is sorted by, if it is not the text.
        link: Address that the text links to.
    """

    text: str
    is_best: bool = False
    kind: str = ""
    small: str = ""
    small_label: str = ""
    sort: str = ""
    link: str = ""


def element(tag: str, *content: str | Html, **attributes: str) -> Html:
    """Return an HTML element. Plain text in the content, and the values of attributes, are escaped."""
    inside = "".join(part.markup if isinstance(part, Html) else html_text(part) for part in content)
    given = "".join(f' {name.rstrip("_").replace("_", "-")}="{html_text(value)}"' for name, value in attributes.items())
    return Html(f"<{tag}{given}>{inside}</{tag}>")


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]], numbers: Collection[int] = (), kind: str = "") -> Html:
    """Return a table. On a narrow screen each row of a table with three or more columns becomes a card.

    Args:
        header: The names of the columns.
        rows: The cells of each row, one per column.
        numbers: Indices of the columns that hold numbers; these are aligned right.
        kind: CSS class: "cards", "pairs", or "list" for many short rows. Empty: "cards" or "pairs", by the columns.
    """
    kind = kind or ("cards" if len(header) > 2 else "pairs")
    heads = [
        element("th", *_breakable(name), scope="col", class_="number" if i in numbers else "words")
        for i, name in enumerate(header)
    ]
    body = [
        element("tr", *(_cell(name, cell, i in numbers, kind) for i, (name, cell) in enumerate(pairs)))
        for pairs in (zip(header, row, strict=True) for row in rows)
    ]
    whole = element("table", element("thead", element("tr", *heads)), element("tbody", *body), class_=kind)
    return element("div", whole, class_="wide")


def _cell(name: str, cell: Cell, is_number: bool, kind: str) -> Html:
    text: str | Html = element("strong", cell.text) if cell.is_best else cell.text
    if cell.link:
        text = element("a", text, href=cell.link)
    sort = {"data_sort": cell.sort} if cell.sort else {}
    if kind == "list":  # of maybe 1,000 rows, so without what only cards need
        return element("td", text, **({"class_": cell.kind} if cell.kind else {}), **sort)
    # a card shows name and value side by side (flex), so the value must be one element
    small = [element("small", element("span", cell.small_label), cell.small)] if cell.small else []
    inside = [element("span", text, *small)] if cell.text else []
    return element("td", *inside, class_=cell.kind or ("number" if is_number else "words"), data_name=name, **sort)


def _breakable(name: str) -> list[str | Html]:
    """Allow a line break after each slash and underscore of a name."""
    pieces = re.split(r"(?<=[/_])", name)
    return [part for piece in pieces for part in (piece, Html("<wbr>"))][:-1]


def picture(
    content: bytes, kind: str, alternative: str, caption: str = "", *, class_: str = "plot", values: str = ""
) -> Html:
    """Return a figure whose picture is part of the page, so that the page is one file.

    Args:
        content: The bytes of the picture's file.
        kind: Its format: "png" or "svg+xml".
        alternative: Text for readers who cannot see the picture.
        caption: Text below the picture; empty for none.
        class_: CSS class of the figure.
        values: JSON for the page's script; empty for none.
    """
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    image = Html(f'<img src="{source}" alt="{html_text(alternative)}">')
    # "<" could end the element; within JSON strings it may be written so
    safe = values.replace("<", "\\u003c")
    data = Html(f'<script type="application/json">{safe}</script>' if values else "")
    return element("figure", image, data, *([element("figcaption", caption)] if caption else []), class_=class_)


def page(title: str, style: str, body: Sequence[Html], script: str, script_hash: str) -> str:
    """Return the whole HTML document.

    Its content security policy forbids network access and every script but one.

    Args:
        title: Title of the document.
        style: The style sheet.
        body: The parts of the page.
        script: The script.
        script_hash: Its hash, as the policy needs it.
    """
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {script_hash}; base-uri 'none'; "
        "form-action 'none'"
    )
    inside = "\n".join(part.markup for part in body)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{inside}\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )
