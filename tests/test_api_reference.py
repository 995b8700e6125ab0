"""The API reference: ``make docs`` builds the site and checks its links; here, that it names what there is."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("api/*.md"))
NAMED = [(page.stem, name) for page in PAGES for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]


def found(name: str) -> Any:
    """Return the module, class or function of a dotted name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize(("page", "name"), NAMED)
def test_every_entry_of_the_reference_exists_and_says_what_it_is(page: str, name: str) -> None:
    assert found(name).__doc__


def test_whatever_the_manual_imports_is_in_the_reference() -> None:
    reference = {id(found(name)) for _, name in NAMED}
    imports = re.compile(r"^from ((?:core|results)\S*) import (.+)$", re.MULTILINE)
    pages = [DOCS.parent / "README.md", *DOCS.glob("*.md")]
    used = {
        f"{module}.{name.strip()}"
        for page in pages
        for module, names in imports.findall(page.read_text(encoding="utf-8"))
        for name in names.split(",")
    }
    assert len(used) > 10
    assert sorted(name for name in used if id(found(name)) not in reference) == []


def test_every_page_of_the_manual_is_in_the_sites_navigation() -> None:
    navigation = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert set(re.findall(r"(\S+\.md)$", navigation, re.MULTILINE)) == pages
