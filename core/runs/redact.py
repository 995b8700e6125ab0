"""Command lines without the secrets that may stand in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

REDACTED = "<redacted>"

_SECRET_NAME = re.compile(
    r"(^|[-_.])(token|secret|passw(or)?d|passphrase|pwd|api[-_]?key|access[-_]?key|private[-_]?key|credentials?|auth)"
    r"($|[-_.])",
    re.IGNORECASE,
)
#: Values that services make recognisable: tokens of Hugging Face, OpenAI, GitHub, GitLab, Slack, AWS, and JWTs.
_SECRET_VALUE = re.compile(
    r"(hf_|sk-|ghp_|gho_|ghs_|github_pat_|glpat-|xox[abprs]-|AKIA|eyJ)[A-Za-z0-9_\-.]{12,}|[0-9a-f]{40}"
)
_URL_PASSWORD = re.compile(r"(\w+://[^/\s:@]*:)[^/\s@]+(@)")


def redacted(arguments: Sequence[str]) -> list[str]:
    """Return a command line with each value that looks secret replaced by ``<redacted>``.

    A value looks secret if its option or name says so (``--api-key X``, ``token=X``), if it has the form of a known
    kind of token, or if it is the password of a URL.
    """
    shown: list[str] = []
    is_secret_next = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        names_secret = _SECRET_NAME.search(name.lstrip("-")) is not None
        if is_secret_next and not argument.startswith("--"):
            shown.append(REDACTED)
        elif equals and value and names_secret:
            shown.append(f"{name}={REDACTED}")
        else:
            shown.append(_URL_PASSWORD.sub(rf"\1{REDACTED}\2", _SECRET_VALUE.sub(REDACTED, argument)))
        is_secret_next = names_secret and argument.startswith("-") and not equals
    return shown
