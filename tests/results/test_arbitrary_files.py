"""Whatever a run's files hold, it hides no other run and ends no command."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import (
    booleans,
    dictionaries,
    fixed_dictionaries,
    floats,
    integers,
    lists,
    none,
    one_of,
    recursive,
    sampled_from,
    text,
)
from made_runs import LOSS, MakeRun

from results.database import ResultsDatabase
from results.describe import describe_difference, describe_run
from results.export import to_csv, to_json
from results.groups import group_runs
from results.plots.samples import newest_grid
from results.run import Run
from results.tables.formats import FORMATS
from results.tables.listing import list_runs, listed_fields
from results.tables.table import make_table
from results.text.labels import printable

scalars = one_of(none(), booleans(), integers(), floats(allow_nan=False, allow_infinity=False), text(max_size=5))
anything = recursive(
    scalars, lambda inner: lists(inner, max_size=3) | dictionaries(text(max_size=5), inner, max_size=3)
)


def saved(schema: str, *names: str):
    """Return contents of a file: the right schema mostly, and anything at all in its fields."""
    fields = fixed_dictionaries({}, optional=dict.fromkeys(names, anything))
    return fields.map(lambda found: {"schema": schema, **found}) | anything


configs = saved("pyml.config/1", "config", "plugins") | fixed_dictionaries(
    {
        "schema": sampled_from(["pyml.config/1"]),
        "config": dictionaries(sampled_from(["model", "seed", "learning_rate", "\x1b[1m"]), anything),
        "plugins": dictionaries(sampled_from(["model", "dataset", "x"]), anything),
    }
)
statuses = saved(
    "pyml.status/1", "state", "reason", "host", "pid", "step", "n_steps_total", "heartbeat_at", "started_at"
) | fixed_dictionaries(
    {
        "schema": sampled_from(["pyml.status/1"]),
        "state": sampled_from(["running", "failed", "finished"]),
        "step": anything,
        "n_steps_total": anything,
        "reason": anything,
        "pid": anything,
        "host": anything,
        "heartbeat_at": anything | sampled_from(["2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00"]),
    }
)
environments = saved("pyml.environment/1", "packages", "git_commit", "git_dirty", "host")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs, status=statuses, environment=environments)
def test_any_content_of_a_runs_files_is_lived_with(
    make_run: MakeRun, experiments: Path, config: object, status: object, environment: object
) -> None:
    path = next(experiments.iterdir(), None) if experiments.exists() else None
    if path is None:
        path = make_run({LOSS: 0.25})
        make_run({LOSS: 0.125}, seed=1)
    path = sorted(experiments.iterdir())[0]
    (path / "config.json").write_text(json.dumps(config))
    (path / "status.json").write_text(json.dumps(status))
    (path / "environment.json").write_text(json.dumps(environment))
    database = ResultsDatabase(experiments).read()
    broken, good = database
    listed = list_runs(database, {LOSS: "loss"}, listed_fields(database, ()))
    assert "0.125" in listed
    described = describe_run(broken, packages=True)
    difference = describe_difference(broken, good)
    table = make_table(group_runs(database), {LOSS: "loss"})
    for write in FORMATS.values():
        assert "0.125" in write(table, None)
    assert "0.125" in to_csv(database)
    json.loads(to_json(database), parse_constant=pytest.fail)
    for out in (listed, described, difference):
        assert all(printable(line) == line for line in out.split("\n"))


def test_no_directory_that_is_a_link_out_of_the_run_is_listed(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run({LOSS: 0.5})
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "private.png").write_bytes(b"x")
    for name in ("samples", "values", "checkpoints"):
        (path / name).symlink_to(tmp_path / "outside")
    run = Run(path)
    assert newest_grid(run) is None
    assert describe_run(run).count("is a link that leads out of the run") == 3
    assert "private" not in describe_run(run)
