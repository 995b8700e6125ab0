"""Short labels for groups: the fewest fields that tell the groups apart, else the letters A, B, ... with a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from attrs import frozen

from results.text.labels import differing_names, printable, shortened, spell

WIDTH = 32  # characters
LEGEND_WIDTH = 200
WORDS = ("model", "dataset")  # their values need no name in front
# Found in the training data, so they follow from other fields. sigma_data is measured unless it is given.
DERIVED = frozenset(
    {
        "data_shape",
        "image_shape",
        "n_classes",
        "classes_fingerprint",
        "data_fingerprint",
        "data_dir_absolute",
        "sigma_data",
    }
)
MOST_CANDIDATES = 12  # with more fields, the search for the fewest takes too long


@frozen
class ShortLabels:
    """Short labels of several groups.

    Attributes:
        names: One label per group: unique, at most ``WIDTH`` characters, without control characters.
        legend: What each letter stands for, one line per group; empty if the labels are no letters.
        fields: The fields that tell the groups apart.
        not_shown: Fields in which the groups also differ, for example because only one of the models has them.
    """

    names: tuple[str, ...]
    legend: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    not_shown: tuple[str, ...] = ()

    def entry(self, i: int) -> str:
        """Return how a legend names the i-th group: "mlp", or "A: batch_size=128, learning_rate=0.001"."""
        return self.legend[i] if self.legend else self.names[i]

    def only(self, chosen: Sequence[int]) -> ShortLabels:
        """Return the labels of some of the groups as they are, so that a page calls a group by one name."""
        legend = tuple(self.legend[i] for i in chosen) if self.legend else ()
        return ShortLabels(tuple(self.names[i] for i in chosen), legend, self.fields, self.not_shown)

    def first(self, most: int) -> ShortLabels:
        """Return the labels of the first groups, at most ``most``."""
        return self.only(range(min(most, len(self.names))))

    def note(self) -> str:
        """Return a sentence that names the fields that the labels do not show, or ""."""
        return f"The groups also differ in {', '.join(map(printable, self.not_shown))}." if self.not_shown else ""


def short_labels(things: Sequence[Mapping[str, Any]], width: int = WIDTH) -> ShortLabels:
    """Return short, unique labels for groups, such as "mlp" and "unet, learning_rate=0.001".

    A label shows the values of the fewest fields that tell all groups apart. If such a label is longer than ``width``,
    or two are equal, all labels are letters and the legend says what they stand for. The choice does not depend on the
    order of the groups; the letters follow it.

    Args:
        things: The fields of each group.
        width: Maximum length of a label, in characters. 12 and more are enough for any number of letters.
    """
    if len(things) < 2:
        name = printable(spell(things[0]["model"])) if things and "model" in things[0] else "all runs"
        return ShortLabels((name if 0 < len(name) <= width else "all runs",) * len(things))
    differing = distinguishing_fields(things)
    fields = _fewest(things, differing)
    not_shown = tuple(name for name in differing if name not in fields and name not in DERIVED)
    names = tuple(_label(thing, fields) for thing in things)
    if len(set(names)) == len(names) and all(0 < len(name) <= width for name in names):
        return ShortLabels(names, (), fields, not_shown)
    letters = tuple(map(letter, range(len(things))))
    legend = tuple(f"{one}: {shortened(name, LEGEND_WIDTH)}" for one, name in zip(letters, names, strict=True))
    return ShortLabels(letters, legend, fields, not_shown)


def distinguishing_fields(things: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the fields in which groups differ, in order of first appearance.

    A field that was found in the data (see ``DERIVED``) counts only if groups agree in everything else: then the data
    changed, or the field was set by hand.
    """
    names = differing_names(things)
    given = [name for name in names if name not in DERIVED]
    alike: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for thing in things:
        alike.setdefault(tuple(_text(thing, name) for name in given), []).append(thing)
    needed = {name for equal in alike.values() if len(equal) > 1 for name in differing_names(equal)}
    return [name for name in names if name not in DERIVED or name in needed]


def letter(i: int) -> str:
    """Return the i-th name of A, B, ..., Z, AA, AB, ..., as the columns of a spreadsheet are named."""
    name = ""
    i += 1
    while i:
        i, digit = divmod(i - 1, 26)
        name = chr(ord("A") + digit) + name
    return name


def _fewest(things: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[str, ...]:
    """Return the fewest fields whose values tell the groups apart as far as all fields together do.

    Of equally many, the model and the data set come first, then the shortest labels. With very many fields the result
    may have more than the fewest.
    """
    columns = {name: tuple(_text(thing, name) for thing in things) for name in _ordered(names)}
    by_partition: dict[tuple[int, ...], str] = {}
    for name in sorted(columns, key=lambda one: (_rank(one), sum(map(len, columns[one])), one)):
        by_partition.setdefault(tuple(map(columns[name].index, columns[name])), name)
    kept = list(by_partition.values())  # fields that split the groups alike are exchangeable
    n_distinct = len(set(zip(*columns.values(), strict=True)))

    def tells_apart(chosen: Sequence[str]) -> bool:
        return len(set(zip(*(columns[name] for name in chosen), strict=True))) == n_distinct

    if len(kept) <= MOST_CANDIDATES:
        for size in range(1, len(kept)):
            found = [chosen for chosen in combinations(kept, size) if tells_apart(chosen)]
            if found:
                return _ordered(min(found, key=lambda chosen: _cost(chosen, columns)))
        return _ordered(kept)
    chosen = kept
    for name in reversed(kept):
        without = [one for one in chosen if one != name]
        if without and tells_apart(without):
            chosen = without
    return _ordered(chosen)


def _cost(chosen: Sequence[str], columns: Mapping[str, Sequence[str]]) -> tuple[int, int, tuple[str, ...]]:
    return sum(map(_rank, chosen)), sum(len(text) for name in chosen for text in columns[name]), _ordered(chosen)


def _rank(name: str) -> int:
    return WORDS.index(name) if name in WORDS else len(WORDS)


def _ordered(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: (_rank(name), name)))


def _label(thing: Mapping[str, Any], fields: Sequence[str]) -> str:
    return printable(", ".join(_text(thing, name) for name in fields))


def _text(thing: Mapping[str, Any], name: str) -> str:
    """Return "unet", "learning_rate=0.001" or "no dropout"."""
    if name not in thing:
        return f"no {name}"
    value = spell(thing[name])
    return value if name in WORDS and value else f"{name}={value}"
