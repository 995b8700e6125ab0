"""Changes of good files, as damage and malice make them; the same seed gives the same changes."""

from __future__ import annotations

import random
import re

#: What readers of text and of archives trip over.
TOKENS = (
    *(b"null", b"true", b"NaN", b"Infinity", b"-0", b"1e999", b"-1e308", b"1e151", b"9" * 50, b"0x", b"-1", b"0"),
    *(b"[" * 80, b'{"a":' * 70, b"]", b"}", b'"', b",", b":", b"\\", b"\\u0000", b"\\ud800", b"\n", b"\r\n"),
    *(b"../../..", b"/etc/passwd", b"\x1b[31m", b"=1+1", b"\xe2\x80\xa8", b"\x00", b"\xff\xfe", b"\x00" * 16),
    *(b"PK\x03\x04", b"PK\x05\x06", b"schema", b"pyml.result/1", b"evaluation", b"eval-0001", b"finished", b"mean"),
)

_VALUE = re.compile(rb'-?\d[\d.e+-]*|"[^"\n]{0,60}"')


def mutated(content: bytes, pick: random.Random) -> bytes:
    """Return the content after one to four changes."""
    for _ in range(pick.choice((1, 1, 1, 2, 4))):
        content = pick.choice(_CHANGES)(content, pick)
    return content


def _flip_bit(content: bytes, pick: random.Random) -> bytes:
    if not content:
        return b"\x01"
    at = pick.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << pick.randrange(8)]) + content[at + 1 :]


def _cut(content: bytes, pick: random.Random) -> bytes:
    a, b = sorted(pick.randrange(len(content) + 1) for _ in range(2))
    return pick.choice((content[:a], content[b:], content[:a] + content[b:]))


def _repeat(content: bytes, pick: random.Random) -> bytes:
    a = pick.randrange(len(content) + 1)
    b = min(len(content), a + pick.randrange(1, 200))
    return content[:b] + content[a:b] * pick.choice((1, 2, 20)) + content[b:]


def _insert(content: bytes, pick: random.Random) -> bytes:
    at = pick.randrange(len(content) + 1)
    return content[:at] + pick.choice(TOKENS) + content[at + pick.choice((0, 0, 1, 4)) :]


def _replace_value(content: bytes, pick: random.Random) -> bytes:
    """Put another value in the place of a number or a text."""
    at = content.rfind(b",", 0, pick.randrange(len(content) + 1)) + 1
    found = _VALUE.search(content, at) or _VALUE.search(content)
    if found is None:
        return _insert(content, pick)
    a, b = found.span()
    return content[:a] + pick.choice(TOKENS) + content[b:]


def _swap_lines(content: bytes, pick: random.Random) -> bytes:
    lines = content.split(b"\n")
    i, j = pick.randrange(len(lines)), pick.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


_CHANGES = (_flip_bit, _flip_bit, _cut, _repeat, _insert, _replace_value, _replace_value, _swap_lines)
