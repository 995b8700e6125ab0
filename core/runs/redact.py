"""Command lines without the secrets that may stand in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

REDACTED = "<redacted>"

_WORDS = (
    "token|secret|passw(?:or)?d|pass|passphrase|pwd|credentials?|auth|authorization|bearer|cookie|jwt|signature|sig|"
    "(?:[a-z]+[-_])?key"
)
_SECRET_NAME = re.compile(rf"(?:^|[-_.])(?:{_WORDS}|apikey)(?:$|[-_.])", re.IGNORECASE)
_NOT_SECRET = re.compile(r"[-_.]?key[-_.]", re.IGNORECASE)  # such as key_dim; an option that ends in key may be one
_NAME = re.compile(r"[\w.-]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # between the words of authToken
#: Values that services make recognisable: tokens of Hugging Face, OpenAI, Stripe, GitHub, GitLab, Slack, AWS, Google,
#: npm, PyPI, Docker and Weights & Biases, and JWTs.
_SECRET_VALUE = re.compile(
    r"(?:hf_|sk-|[sr]k_(?:live|test)_|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|xapp-|AKIA|ASIA|AIza|ya29\.|npm_|"
    r"pypi-|dckr_pat_|wandb_v\d+_|eyJ)[A-Za-z0-9_\-.]{12,}|[0-9a-f]{40}"
)
_URL_PASSWORD = re.compile(r"(\w+://[^/\s:@]*:)[^\s@]+(@)")
_URL_USER = re.compile(r"(https?://)[^/\s:@]+(@)")
#: In a longer text: a name, = or :, and its value, as in a URL, a header or JSON.
_NAMED = re.compile(
    r"""(?P<name>[A-Za-z][\w.-]*)(?P<between>["']?\s*[=:](?!//)\s*)"""
    r"""(?P<value>(?:(?:bearer|basic|token)\s+)?(?:"[^"]*"|'[^']*'|[^\s&;,"'}]+))""",
    re.IGNORECASE,
)


def redacted(arguments: Sequence[str]) -> list[str]:
    """Return a command line with each value that looks secret replaced by ``<redacted>``.

    A value looks secret if its option or name says so (``--api-key X``, ``token=X``, ``?sig=X`` in a URL), if it has
    the form of a known kind of token, or if it is the password of a URL.
    """
    shown: list[str] = []
    is_secret_next = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        names_secret = _is_secret(name.lstrip("-"))
        if is_secret_next and not argument.startswith("--"):
            shown.append(REDACTED)
        elif equals and value and names_secret:
            shown.append(f"{name}={REDACTED}")
        else:
            shown.append(_without_secrets(argument))
        is_secret_next = names_secret and argument.startswith("-") and not equals
    return shown


def _is_secret(name: str) -> bool:
    words = _HUMP.sub("_", name)
    if not _NAME.fullmatch(name):  # such as a URL, in which the name stands further behind
        return False
    return _SECRET_NAME.search(words) is not None and _NOT_SECRET.search(words) is None


def _without_secrets(text: str) -> str:
    text = _SECRET_VALUE.sub(REDACTED, text)
    text = _URL_PASSWORD.sub(rf"\1{REDACTED}\2", text)
    text = _URL_USER.sub(rf"\1{REDACTED}\2", text)
    return _NAMED.sub(_without_value, text)


def _without_value(found: re.Match[str]) -> str:
    return f"{found['name']}{found['between']}{REDACTED}" if _is_secret(found["name"]) else found[0]
