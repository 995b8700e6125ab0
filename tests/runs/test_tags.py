"""tags.json: what it says, what it refuses, and that it costs a run nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from

from core.config import ConfigError
from core.runs.files import Fault
from core.runs.tags import MOST_NOTE, MOST_TAGS, NONE, Tags, changed, checked_note, read_tags, save_tags

TAGS = lists(sampled_from(["a", "b", "lr:1e-3", "v1.2", "x/y", "A"]), max_size=6)


def test_a_run_without_the_file_has_no_tags(tmp_path: Path) -> None:
    assert read_tags(tmp_path) == NONE
    assert list(tmp_path.iterdir()) == []


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    tags = Tags(("best", "lr:1e-3"), "lr too high?\nzweite Zeile: größer", archived=True)
    save_tags(tmp_path, tags)
    assert read_tags(tmp_path) == tags
    assert json.loads((tmp_path / "tags.json").read_text())["schema"] == "pyml.tags/1"


@given(TAGS, TAGS)
def test_adding_and_then_removing_leaves_what_else_was_there(before: list[str], more: list[str]) -> None:
    assert changed(changed(before, add=more), remove=more) == tuple(sorted(set(before) - set(more)))


@pytest.mark.parametrize("tag", ["", "two words", "a,b", "-x", "+x", "_x", "x" * 51, "x\n", "x\x1b[31m"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(ConfigError, match=r"tag .*: accepted: 1 to 50 letters, digits or any of"):
        changed((), add=[tag])


def test_a_tag_cannot_be_added_and_removed_at_once() -> None:
    with pytest.raises(ConfigError, match="tag 'x': cannot be added and removed at once"):
        changed((), ["x"], ["x"])


def test_the_number_of_tags_and_the_length_of_a_note_are_bounded() -> None:
    with pytest.raises(ConfigError, match="got 51 tags; accepted: at most 50"):
        changed((), [f"t{i}" for i in range(MOST_TAGS + 1)])
    with pytest.raises(ConfigError, match="note: got 10,001 characters; accepted: at most 10,000"):
        checked_note("x" * (MOST_NOTE + 1))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"tags": "good"}, "tags: accepted: a list"),
        ({"tags": ["two words"]}, "tags: got 'two words'"),
        ({"tags": [3]}, "tags: got 3"),
        ({"note": None}, "note: accepted: a text"),
        ({"archived": "yes"}, "archived: got 'yes'; accepted: true or false"),
        ({"schema": "pyml.tags/9"}, "this version reads 'pyml.tags/1'"),
    ],
)
def test_a_file_that_says_something_else_is_a_fault(tmp_path: Path, content: dict[str, Any], reason: str) -> None:
    (tmp_path / "tags.json").write_text(json.dumps({"schema": "pyml.tags/1", **content}))
    found = read_tags(tmp_path)
    assert isinstance(found, Fault)
    assert reason in str(found)


def test_fields_that_are_missing_have_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "tags.json").write_text('{"schema": "pyml.tags/1", "later": 1}')
    assert read_tags(tmp_path) == NONE
