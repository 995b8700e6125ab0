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
        (["--authToken", "abc"], ["--authToken", "<redacted>"]),
        (["--wandb-key", "abc", "x"], ["--wandb-key", "<redacted>", "x"]),
        (["https://h/x?a=1&api_key=abc"], ["https://h/x?a=1&api_key=<redacted>"]),
        (["https://h/x?X-Amz-Signature=abc&b=2"], ["https://h/x?X-Amz-Signature=<redacted>&b=2"]),
        (["https://abc123@example.org/x"], ["https://<redacted>@example.org/x"]),
        (["https://u:a/b@example.org"], ["https://u:<redacted>@example.org"]),
        (["-H", "Authorization: Bearer abc"], ["-H", "Authorization: <redacted>"]),
        (["--set", '{"token": "a b", "lr": 1}'], ["--set", '{"token": <redacted>, "lr": 1}']),
        (["--note", "password: hunter2"], ["--note", "password: <redacted>"]),
        (["sk_live_" + "a1B2" * 4], ["<redacted>"]),
        (["--key-dim", "64", "--keys=a"], ["--key-dim", "64", "--keys=a"]),
        (["--tokenizer", "gpt2", "max_tokens=5"], ["--tokenizer", "gpt2", "max_tokens=5"]),
        (["--where", "learning_rate=1e-3", "monkey=2"], ["--where", "learning_rate=1e-3", "monkey=2"]),
        (["--data-dir", "C:/data/x", "seed=0..4"], ["--data-dir", "C:/data/x", "seed=0..4"]),
    ],
)
def test_values_that_look_secret_are_replaced(given: list[str], kept: list[str]) -> None:
    assert redacted(given) == kept
