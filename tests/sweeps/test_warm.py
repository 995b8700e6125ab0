"""What the fork server of a sweep has done before it starts a job."""

import runpy

import pytest
import torch


def test_the_fork_server_makes_the_first_optimiser_so_that_no_job_imports_the_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[object] = []
    monkeypatch.setattr(torch.optim, "Adam", made.append)
    runpy.run_module("core.sweeps.warm")
    assert made
