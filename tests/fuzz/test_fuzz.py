"""Every reader meets changed files: it reads them, reports a fault or raises an error that it documents.

``make fuzz`` tries a million changes for each reader; what it finds is kept in tests/data/damaged and tried here.
"""

import random
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import binary, integers, one_of
from mutation import mutated
from readers import DATA, read_content, readers

READERS = readers()
SLOW = {"checkpoint", "values", "metadata of values"}


def damaged_files() -> list[tuple[str, Path]]:
    names = {name.replace(" ", "-"): name for name in READERS}
    return [(names[path.parent.name], path) for path in sorted((DATA / "damaged").glob("*/*"))]


@pytest.mark.parametrize("name", READERS)
def test_a_changed_file_raises_documented_errors_only(name: str, tmp_path: Path) -> None:
    reader = READERS[name]

    @settings(max_examples=15 if name in SLOW else 60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(content=one_of(integers(0, 2**32), binary(max_size=200)))
    def try_it(content: int | bytes) -> None:
        if isinstance(content, int):
            pick = random.Random(content)
            content = mutated(pick.choice(reader.seeds), pick)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a saved config with unknown fields
            read_content(reader, content, tmp_path)

    try_it()


@pytest.mark.parametrize("name", READERS)
def test_the_unchanged_files_are_read(name: str, tmp_path: Path) -> None:
    for content in READERS[name].seeds:
        path = tmp_path / READERS[name].file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        READERS[name].read(path)


@pytest.mark.parametrize(("name", "path"), damaged_files(), ids=lambda value: getattr(value, "name", value))
@pytest.mark.filterwarnings("ignore")
def test_what_was_once_found_stays_mended(name: str, path: Path, tmp_path: Path) -> None:
    read_content(READERS[name], path.read_bytes(), tmp_path)
