"""Signals as requests to stop: none is lost, and the handler neither prints nor raises at the first one."""

import os
import signal

import pytest

from core.utils.signals import STOPPING, RunInterrupted, StopSignals


@pytest.mark.usefixtures("default_sighup")
@pytest.mark.parametrize("number", STOPPING)
def test_the_first_signal_is_kept_as_a_request(number: int) -> None:
    with StopSignals() as signals:
        assert signals.requested() is None
        os.kill(os.getpid(), number)
        request = signals.requested()
    assert isinstance(request, RunInterrupted)
    assert request.exit_code == 128 + number


def test_the_second_signal_raises_at_once() -> None:
    with pytest.raises(RunInterrupted, match="interrupted by SIGTERM"), StopSignals():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_handler_neither_prints_nor_fails_when_nobody_reads_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(os, "write", fail)
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.requested() is not None


def test_the_request_is_announced_once(capfd: pytest.CaptureFixture[str]) -> None:
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert capfd.readouterr().err == ""
        signals.requested()
        signals.requested()
    assert capfd.readouterr().err == (
        "\ninterrupted by Ctrl-C: stopping with a checkpoint. Press Ctrl-C to stop at once.\n"
    )


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.requested() is None
    finally:
        signal.signal(signal.SIGHUP, previous)
