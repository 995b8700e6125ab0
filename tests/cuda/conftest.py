"""Tests that need a CUDA device: `make cuda-test` runs them; everywhere else they are skipped."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

DEVICE = "cuda"
IS_ASKED_FOR = os.environ.get("PYML_REQUIRE_CUDA") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this directory unless they were asked for, and stop if there is no CUDA device then."""
    if IS_ASKED_FOR and not torch.cuda.is_available():
        pytest.exit("PYML_REQUIRE_CUDA=1, but PyTorch sees no CUDA device here", returncode=1)
    skip = pytest.mark.skip(reason="needs a CUDA device; make cuda-test runs it")
    for item in items:
        if Path(__file__).parent in item.path.parents and not IS_ASKED_FOR:
            item.add_marker(skip)


@pytest.fixture
def device() -> str:
    """The device that is tested."""
    return DEVICE


@pytest.fixture
def busy_gpu() -> Iterator[torch.Tensor]:
    """Keep the GPU busy for a tenth of a second or more, so that work enqueued behind it is not done yet."""
    matrix = torch.randn(8192, 8192, device=DEVICE)
    for _ in range(8):
        matrix = matrix @ matrix / 8192**0.5
    yield matrix
    torch.cuda.synchronize()
