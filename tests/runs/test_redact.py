"""Command lines without secrets."""

import pytest

from core.runs.redact import redacted

HUB = "hf_" + "a1B2" * 8
WEB = "https://user:hunter2@example.org/x"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--api-key", "abc"], ["--api-key", "<redacted>"]),
        (["--wandb-token=abc"], ["--wandb-token=<redacted>"]),
        (["password=abc"], ["password=<redacted>"]),
        (["--hub", HUB], ["--hub", "<redacted>"]),
        ([WEB], ["https://user:<redacted>@example.org/x"]),
        (["--model", "mlp", "--seed", "3"], ["--model", "mlp", "--seed", "3"]),
        (["--n-tokens", "512"], ["--n-tokens", "512"]),
        (["--auth", "--seed", "3"], ["--auth", "--seed", "3"]),
        (["author=me"], ["author=me"]),
    ],
)
def test_values_that_look_secret_are_replaced(given: list[str], kept: list[str]) -> None:
    assert redacted(given) == kept
