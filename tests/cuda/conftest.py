"""Tests that need a CUDA device: `make cuda-test` runs them; everywhere else they are skipped."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

DEVICE = "cuda"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this directory unless a CUDA device was asked for."""
    skip = pytest.mark.skip(reason="needs a CUDA device; make cuda-test runs it")
    for item in items:
        if Path(__file__).parent in item.path.parents and os.environ.get("PYML_REQUIRE_CUDA") != "1":
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
