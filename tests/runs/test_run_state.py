"""Running and dead runs, told apart."""

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from core.runs.status import run_state

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def saved(**fields: object) -> dict[str, object]:
    alive = {"state": "running", "host": "another-host", "pid": 1, "heartbeat_at": NOW.isoformat(), "step": 1_200}
    return {**alive, "n_steps_total": 3_300, **fields}


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_with_a_fresh_heartbeat_runs_and_shows_its_progress() -> None:
    state = run_state(saved(heartbeat_at=ago(119)), NOW)
    assert state.state == "running"
    assert str(state) == "running, 1,200 of 3,300 steps (36%)"


def test_a_run_without_a_heartbeat_for_two_minutes_is_dead() -> None:
    assert str(run_state(saved(heartbeat_at=ago(121)), NOW)) == "dead (no heartbeat for 2 min)"
    assert str(run_state(saved(heartbeat_at=ago(5 * 3600)), NOW)) == "dead (no heartbeat for 5 h)"
    assert str(run_state(saved(heartbeat_at=ago(72 * 3600)), NOW)) == "dead (no heartbeat for 3 days)"


def test_a_run_of_this_host_is_dead_as_soon_as_its_process_is() -> None:
    pid = ended_process()
    state = run_state(saved(host=socket.gethostname(), pid=pid), NOW)
    assert str(state) == f"dead (no process {pid} on this host)"


def test_a_run_of_this_host_runs_while_its_process_does() -> None:
    assert run_state(saved(host=socket.gethostname(), pid=os.getpid()), NOW).state == "running"


def test_a_process_id_of_another_host_says_nothing() -> None:
    assert run_state(saved(pid=ended_process()), NOW).state == "running"


@pytest.mark.parametrize("heartbeat", [None, "", "yesterday", 3])
def test_a_run_whose_heartbeat_cannot_be_read_is_dead(heartbeat: object) -> None:
    assert str(run_state(saved(heartbeat_at=heartbeat), NOW)) == "dead (no heartbeat)"


@pytest.mark.parametrize("state", ["finished", "failed", "interrupted"])
def test_a_run_that_ended_is_what_it_says_however_long_ago(state: str) -> None:
    found = run_state(saved(state=state, reason="why", heartbeat_at=ago(1e9), pid=ended_process()), NOW)
    assert (found.state, found.reason) == (state, "why")


def test_an_unknown_or_missing_state_is_unknown() -> None:
    assert run_state(None).state == "unknown"
    assert run_state(saved(state="exploded"), NOW).reason == "status.json says 'exploded'"


def test_progress_is_left_out_where_it_is_not_known() -> None:
    assert str(run_state(saved(step=None), NOW)) == "running"
    assert str(run_state(saved(n_steps_total=0), NOW)) == "running"
