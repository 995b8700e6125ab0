"""The folder is the database: read lazily, filtered, merged by copying, and never written to."""

import shutil
from pathlib import Path

import pytest
from made_runs import ACCURACY, LOSS, MakeRun, log, set_status
from written_runs import measure, record, write_run

from core.config import ConfigError
from core.utils.results import ResultMetadata, ScalarResult
from results.database import ResultsDatabase


def tree(directory: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_a_database_iterates_over_its_runs_oldest_first(make_run: MakeRun, experiments: Path) -> None:
    paths = [make_run({LOSS: 0.1 * seed}, seed=seed) for seed in range(3)]
    database = ResultsDatabase(experiments)
    assert len(database) == 3
    assert [run.path for run in database] == paths
    assert [run.config["seed"] for run in database] == [0, 1, 2]
    assert database[paths[1].name].results[0].result == ScalarResult(0.1, 0.01, 359)
    assert [run.status.state for run in database] == ["finished"] * 3


def test_reading_changes_nothing(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.1})
    before = tree(experiments)
    ResultsDatabase(experiments).read()
    assert tree(experiments) == before


def test_a_copied_run_is_a_merged_run(make_run: MakeRun, experiments: Path, tmp_path: Path) -> None:
    make_run({LOSS: 0.1})
    other = make_run({LOSS: 0.2})
    (tmp_path / "elsewhere").mkdir()
    shutil.move(other, tmp_path / "elsewhere" / other.name)
    assert len(ResultsDatabase(experiments)) == 1
    shutil.copytree(tmp_path / "elsewhere", experiments, dirs_exist_ok=True)  # rsync elsewhere/ experiments/
    assert [run.measures[LOSS]["mean"] for run in ResultsDatabase(experiments)] == [0.1, 0.2]


def test_a_renamed_run_still_counts_and_other_folders_do_not(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.1}).rename(experiments / "the-good-one")
    (experiments / "notes").mkdir()
    (experiments / "file").write_text("")
    assert [run.id for run in ResultsDatabase(experiments)] == ["the-good-one"]


def test_filters_speak_of_config_and_status(make_run: MakeRun, experiments: Path) -> None:
    for seed in range(3):
        make_run(seed=seed, state="failed" if seed == 2 else "finished", hidden_layer_sizes=(8, 8))
    database = ResultsDatabase(experiments)
    assert len(database.filter(status="finished")) == 2
    assert len(database.filter(hidden_layer_sizes=(8, 8), seed=1)) == 1
    assert len(database.filter(lambda run: run.config["seed"] > 0, status="finished")) == 1
    with pytest.raises(ConfigError, match=r"unknown field 'sede'. Did you mean 'seed'\?"):
        database.filter(sede=1)


def test_conditions_speak_of_config_status_id_and_measures(make_run: MakeRun, experiments: Path) -> None:
    for seed in range(4):
        make_run({LOSS: 0.1 * seed}, seed=seed, learning_rate=10.0 ** -(seed + 1))
    make_run(seed=9)
    database = ResultsDatabase(experiments)

    def seeds(*conditions: str) -> list[int]:
        return [run.config["seed"] for run in database.where(*conditions)]

    assert seeds("learning_rate<=1e-3") == [2, 3, 9]
    assert seeds("learning_rate<=1e-3", "loss>0.25") == [3]
    assert seeds("status=finished", "seed!=9", "loss<0.15") == [0, 1]
    assert seeds(f"id={next(iter(database)).id}") == [0]
    assert seeds("seed=77", "loss<0.15") == []


def test_a_typo_in_a_condition_names_the_nearest_field(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.1})
    database = ResultsDatabase(experiments)
    with pytest.raises(ConfigError, match=r"'learning_rat<1'.*Did you mean 'learning_rate'\?"):
        database.where("learning_rat<1")
    with pytest.raises(ConfigError, match=r"'los<1'.*Did you mean 'loss'\?"):
        database.where("los<1")


def test_a_condition_on_a_name_of_two_measures_asks_which(make_run: MakeRun, experiments: Path) -> None:
    make_run({ResultMetadata("frechet", n_steps=18): 1.0, ResultMetadata("frechet", n_steps=9): 3.0})
    database = ResultsDatabase(experiments)
    with pytest.raises(ConfigError, match=r"'frechet' is ambiguous.*'frechet \(n_steps=18\)'.*'frechet \(n_steps=9\)'"):
        database.where("frechet<2")
    assert len(database.where("frechet (n_steps=18)<2")) == 1
    assert len(database.where("frechet (n_steps=9)<2")) == 0


def test_the_newest_complete_evaluation_is_the_result(make_run: MakeRun, experiments: Path) -> None:
    path = make_run({LOSS: 0.3, ACCURACY: 0.8})
    log(path, {LOSS: 0.2})
    log(path, {LOSS: 0.1}, finished=False)
    (run,) = ResultsDatabase(experiments)
    assert {metadata.name: fields["mean"] for metadata, fields in run.measures.items()} == {
        "loss": 0.2,
        "accuracy": 0.8,
    }
    assert run.result(LOSS) == ScalarResult(0.2, 0.01, 359)
    assert run.result(ResultMetadata("other")) is None
    assert len(run.log().entries) == 4


def test_broken_runs_hide_no_other_and_say_what_is_wrong(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.1})
    no_config = make_run({LOSS: 0.2})
    (no_config / "config.json").unlink()
    torn = make_run({LOSS: 0.3})
    with (torn / "results.jsonl").open("a") as file:
        file.write('{"schema": "pyml.resu')
    bad_status = make_run({LOSS: 0.4})
    (bad_status / "status.json").write_text("{")
    (experiments / "20270101T000000000000Z_ffffff").mkdir()  # made, and nothing written yet
    database = ResultsDatabase(experiments).read()
    assert len(database) == 5
    assert [run.measures[LOSS]["mean"] for run in list(database)[:4]] == [0.1, 0.2, 0.3, 0.4]
    faults = [str(fault) for fault in database.faults]
    assert len(faults) == 5
    for name, reason in (
        (f"{no_config.name}/config.json", "is missing"),
        (f"{torn.name}/results.jsonl", "not valid JSON"),
        (f"{bad_status.name}/status.json", "not valid JSON"),
        ("ffffff/config.json", "is missing"),
        ("ffffff/status.json", "is missing"),
    ):
        assert any(name in fault and reason in fault for fault in faults)
    assert [run.status.state for run in database] == ["finished", "finished", "finished", "unknown", "unknown"]


def test_a_config_that_is_no_object_is_an_empty_one(make_run: MakeRun, experiments: Path) -> None:
    path = make_run()
    (path / "config.json").write_text('{"schema": "pyml.config/1", "config": [1], "plugins": null}')
    (run,) = ResultsDatabase(experiments)
    assert (run.config, run.plugins, run.code_version) == ({}, {}, "unknown")


def test_varying_fields_are_those_in_which_runs_differ(make_run: MakeRun, experiments: Path) -> None:
    make_run(seed=0)
    make_run(seed=1, learning_rate=0.5)
    (experiments / "20270101T000000000000Z_ffffff").mkdir()
    assert ResultsDatabase(experiments).varying_fields() == ["seed", "learning_rate"]


def test_counting_what_was_measured(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.1})
    make_run({LOSS: 0.1, ACCURACY: 0.5})
    assert ResultsDatabase(experiments).metadata() == {LOSS: 2, ACCURACY: 1}


def test_results_are_filtered_by_their_metadata(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.25, ACCURACY: 0.5}, seed=0)
    make_run({LOSS: 0.75}, seed=1)
    database = ResultsDatabase(experiments)
    found = [(run.config["seed"], record.result.mean) for run, record in database.records(name="loss")]
    assert found == [(0, 0.25), (1, 0.75)]
    assert [record.metadata for _, record in database.records(higher_is_better=True)] == [ACCURACY]
    with pytest.raises(ConfigError, match=r"'nam'. Did you mean 'name'\?"):
        list(database.records(nam="loss"))


def test_a_run_is_found_by_prefix_path_and_latest(make_run: MakeRun, experiments: Path) -> None:
    first, second = make_run(), make_run()
    database = ResultsDatabase(experiments)
    assert database.find(first.name[:-3]).id == first.name
    assert database.find("latest").id == second.name
    assert database.find(str(first)).path == first
    with pytest.raises(ConfigError, match="is ambiguous"):
        database.find("2026")
    with pytest.raises(KeyError, match="nothing"):
        database["nothing"]


def test_a_missing_directory_names_the_nearest_and_the_remedy(experiments: Path) -> None:
    experiments.mkdir()
    with pytest.raises(ConfigError, match=r"no experiments directory .* Did you mean 'experiments'\? Try the folder"):
        ResultsDatabase(experiments.parent / "experimets")
    (experiments / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be read \(Not a directory\).*--experiments-dir"):
        ResultsDatabase(experiments / "file")


def test_a_dead_run_is_told_apart_from_a_running_one(make_run: MakeRun, experiments: Path) -> None:
    make_run(state="running")
    set_status(make_run(state="running"), heartbeat_at="2020-01-01T00:00:00+00:00")
    database = ResultsDatabase(experiments)
    assert [run.status.state for run in database] == ["running", "dead"]
    assert len(database.where("status=dead")) == 1


def test_conditions_reach_the_environment_the_protocols_and_the_times(experiments: Path) -> None:
    environments = [{"git_commit": "1a2b3c4d" * 5, "host": "node1", "device": "cpu"}, {"host": "node2"}, None]
    for number, environment in enumerate(environments):
        lines = [record(0.1 * (number + 1), measure(protocol={"split": "train" if number else "held_out"}))]
        write_run(experiments, number, lines, environment=environment, seed=number, **({"lr": 1} if number else {}))
    database = ResultsDatabase(experiments)

    def seeds(*conditions: str) -> list[int]:
        return [run.config["seed"] for run in database.where(*conditions)]

    assert seeds("git_commit=1a2b3c4d1a") == [0]
    assert seeds("host=node*") == [0, 1]
    assert seeds("device!=cpu") == [1, 2]  # unknown is not cpu
    assert seeds("device=unknown") == [1, 2]
    assert seeds("protocol.split=train") == seeds("split=train") == [1, 2]
    assert seeds("split in held_out, train") == [0, 1, 2]
    assert seeds("started>=2026-01-01", "started<2026-01-02") == [0, 1, 2]
    assert seeds("started<2026-01-01") == []
    assert seeds("duration=0s") == [0, 1, 2]
    assert seeds("lr=1") == [1, 2]
    assert seeds("lr!=1") == []  # a run without the field meets no condition on it
    assert seeds("no lr") == [0]
    assert seeds("has lr and seed=2") == [2]
    assert seeds("no lr or seed=2") == [0, 2]
    assert seeds("seed in 0,2") == seeds("seed not in (1)") == [0, 2]
    with pytest.raises(ConfigError, match=r"'splt=x': unknown field or measure 'splt'. Did you mean 'split'\?"):
        seeds("splt=x")
    with pytest.raises(ConfigError, match=r"Operators: FIELD=VALUE, or with !=, <.*FIELD in A,B; no FIELD; has FIELD"):
        seeds("sed in 1,2")


def test_a_field_of_numbers_and_words_compares_each_as_what_it_is(experiments: Path) -> None:
    for number, lr in enumerate((0.1, "auto", 0.3)):
        write_run(experiments, number, seed=number, lr=lr)
    database = ResultsDatabase(experiments)
    assert [run.config["seed"] for run in database.where("lr=auto")] == [1]
    assert [run.config["seed"] for run in database.where("lr!=auto")] == [0, 2]
    assert [run.config["seed"] for run in database.where("lr in auto,0.3")] == [1, 2]
