"""Hooks of mkdocs. The site holds ``docs`` alone, so links to other files of the clone become their names."""

import posixpath
import re
from typing import Any


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Return the page with ``[README](../README.md#start)`` as ``README (README.md)``."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def named(link: re.Match[str]) -> str:
        text, target = link[1], posixpath.normpath(posixpath.join(folder, link[2]))
        if target.startswith("docs/"):
            return link[0]
        return f"`{target}`" if text == target else f"{text} (`{target}`)"

    return re.sub(r"\[([^\]]+)\]\((\.\./[^)#]+)[^)]*\)", named, markdown)


def on_page_content(html: str, **_: object) -> str:
    """Return the page with the "Example::" of docstrings as "Example:"."""
    return html.replace("::</p>", ":</p>")
