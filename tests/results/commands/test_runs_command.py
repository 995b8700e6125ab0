"""``python -m core runs`` as a user meets it."""

import math
from pathlib import Path

import attrs
import pytest
from made_runs import ACCURACY, LOSS, Invoke, MakeRun, log, set_status
from written_runs import finished, measure, record, write_run

from core.runs.environment import save_environment
from core.runs.evaluations import start_evaluation
from core.utils.results import ResultMetadata, ScalarResult


def rows(out: str) -> list[list[str]]:
    """Split a printed table into its cells, the header first."""
    lines = out.split("\n\n")[0].splitlines()
    return [line.split("  ") for line in [lines[0], *lines[2:]]]


def cells(out: str) -> list[list[str]]:
    return [[cell.strip() for cell in row if cell.strip()] for row in rows(out)]


def test_runs_lists_id_model_seed_status_and_main_results(make_run: MakeRun, invoke: Invoke) -> None:
    path = make_run({LOSS: ScalarResult(0.31234, 0.0123, 359), ACCURACY: ScalarResult(0.9, math.nan, 1)}, seed=3)
    code, out, err = invoke("runs")
    assert (code, err) == (0, "")
    header, row = cells(out)
    assert header == ["run", "model", "seed", "status", "age", "duration", "loss", "accuracy"]
    assert [*row[:4], *row[6:]] == [path.name, "mlp", "3", "finished", "0.312 ± 0.012", "0.9 ± unknown"]
    assert "1 run. ± is the standard error within the run" in out


def test_times_are_not_main_results_but_can_be_asked_for(make_run: MakeRun, invoke: Invoke) -> None:
    make_run({ResultMetadata("time/train", unit="epoch"): 12.0, LOSS: 0.5})
    assert "time/train" not in invoke("runs")[1]
    _, out, _ = invoke("runs", "--metric", "time/*")
    assert cells(out)[0] == ["run", "model", "seed", "status", "age", "duration", "time/train"]


def test_three_measures_show_and_the_rest_is_counted(make_run: MakeRun, invoke: Invoke) -> None:
    make_run({ResultMetadata(f"m{i}"): 0.5 for i in range(5)})
    _, out, _ = invoke("runs")
    assert cells(out)[0][-3:] == ["m0", "m1", "m2"]
    assert "2 more measures: --metric NAME" in out
    assert cells(invoke("runs", "--metric", "*")[1])[0][-5:] == ["m0", "m1", "m2", "m3", "m4"]


def test_whole_measures_come_before_their_parts_and_those_with_a_direction_first(
    make_run: MakeRun, invoke: Invoke
) -> None:
    names = ["loss/small", "size", "loss/large", "frechet"]
    make_run({ResultMetadata(name, higher_is_better=None if name == "size" else False): 0.5 for name in names})
    assert cells(invoke("runs")[1])[0][-3:] == ["frechet", "size", "loss/small"]


def test_results_of_different_protocols_never_share_a_column(make_run: MakeRun, invoke: Invoke) -> None:
    make_run({ResultMetadata("loss", protocol={"split": "train"}): 0.25})
    make_run({ResultMetadata("loss", protocol={"split": "held_out"}): 0.5})
    header, first, second = cells(invoke("runs")[1])
    assert header[-2:] == ["loss (split=train)", "loss (split=held_out)"]
    assert first[-2:] == ["0.250 ± 0.010", "-"]
    assert second[-2:] == ["-", "0.500 ± 0.010"]


def test_every_state_of_a_run_is_told(make_run: MakeRun, invoke: Invoke) -> None:
    make_run({LOSS: 0.1})
    make_run(state="failed", reason="ValueError: no")
    make_run(state="interrupted", reason="SIGTERM")
    make_run(state="running")
    set_status(make_run(state="running"), heartbeat_at="2020-01-01T00:00:00+00:00", host="elsewhere")
    states = [row[3] for row in cells(invoke("runs")[1])[1:]]
    assert states[:4] == ["finished", "failed", "interrupted", "running, 30 of 100 steps (30%)"]
    assert states[4].startswith("dead (no heartbeat for")


def test_the_reason_of_a_failure_is_told_on_one_line(experiments: Path, invoke: Invoke) -> None:
    path = write_run(experiments, 0, state="failed", model="mlp", seed=0)
    set_status(path, reason=f"RuntimeError: CUDA out of memory.\nTried to allocate {'9' * 80} GiB")
    write_run(experiments, 1, model="mlp", seed=1)
    header, failed, finished = cells(invoke("runs")[1])
    assert header[-1] == "reason"
    assert failed[-1] == f"RuntimeError: CUDA out of memory. Tried to allocate {'9' * 7}…"
    assert finished[2] == "finished"
    assert len(finished) == len(failed) - 1


def test_age_and_duration_are_told_and_duration_is_sorted_by(experiments: Path, invoke: Invoke) -> None:
    ends = {0: "2026-01-03T01:30:00+00:00", 1: "2026-01-01T01:03:20+00:00", 2: None}
    for number, end in ends.items():
        set_status(write_run(experiments, number, model="mlp", seed=number), finished_at=end)
    rows = cells(invoke("runs", "--sort", "duration")[1])[1:]
    assert [row[1] for row in rows] == ["1", "0", "2"]
    assert [row[4] for row in rows] == ["1 h 3 min", "2 d 2 h", "-"]
    assert all(row[3].endswith(" d") for row in rows)


def test_an_observation_that_was_not_finite_is_told(make_run: MakeRun, invoke: Invoke) -> None:
    make_run({LOSS: ScalarResult(math.nan, math.nan, n=357, n_nan=2, n_inf=1)})
    assert "nan ± unknown (3 not finite)" in invoke("runs")[1]


RIGHT = attrs.evolve(ACCURACY, kind="proportion")


def test_equal_observations_never_print_as_certainty(make_run: MakeRun, invoke: Invoke) -> None:
    make_run({RIGHT: ScalarResult(1.0, 0.0, n=25)})
    assert "1 ± unknown (all equal)" in invoke("runs")[1]
    for arguments in ([], ["--all"]):
        assert "1.0 ± unknown (all 25 observations are equal)" in invoke("runs", "show", "latest", *arguments)[1]


@pytest.mark.parametrize(
    ("mean", "n", "interval"),  # by hand: 25 of 25 has the lower end n / (n + z²) = 25 / 28.8415 = 0.86681
    [(1.0, 25, "0.87 to 1.00"), (0.0, 25, "0.00 to 0.13"), (15 / 148, 148, "0.062 to 0.160")],  # Newcombe 1998, table I
)
def test_show_prints_wilsons_interval_of_a_proportion(
    make_run: MakeRun, invoke: Invoke, mean: float, n: int, interval: str
) -> None:
    make_run({RIGHT: ScalarResult(mean, 0.0, n), LOSS: 0.5})
    section = invoke("runs", "show", "latest")[1].partition("95% intervals of the proportions (Wilson)\n")[2]
    assert [line.split("  ") for line in section.splitlines()] == [["", "accuracy", interval]]


@pytest.mark.parametrize("result", [ScalarResult(1.5, 0.1, 25), ScalarResult(1.0), ScalarResult(math.nan, n=25)])
def test_without_a_proportion_in_0_to_1_there_is_no_wilson_interval(
    make_run: MakeRun, invoke: Invoke, result: ScalarResult
) -> None:
    make_run({RIGHT: result})
    code, out, _ = invoke("runs", "show", "latest")
    assert code == 0
    assert "accuracy" in out
    assert "Wilson" not in out


def test_a_half_written_run_is_listed_and_reported(make_run: MakeRun, invoke: Invoke, experiments: Path) -> None:
    make_run({LOSS: 0.5})
    (experiments / "20270101T000000000000Z_ffffff").mkdir()
    code, out, err = invoke("runs")
    assert code == 0
    assert cells(out)[2] == ["20270101T000000000000Z_ffffff", "-", "-", "unknown", "-", "-", "-"]
    assert "ffffff/config.json: is missing" in err


def test_faults_beyond_ten_are_counted(make_run: MakeRun, invoke: Invoke) -> None:
    for _ in range(13):
        (make_run({LOSS: 0.5}) / "status.json").unlink()
    _, _, err = invoke("runs")
    assert err.count("is missing") == 10
    assert "Could not be read: 3 more" in err


def test_sorting_filtering_and_limiting(make_run: MakeRun, invoke: Invoke) -> None:
    for seed, rate in enumerate([1e-2, 1e-4, 1e-3]):
        make_run({LOSS: ScalarResult(math.nan) if seed == 0 else rate}, seed=seed, learning_rate=rate)

    def seeds(*arguments: str) -> list[str]:
        return [row[2] for row in cells(invoke("runs", *arguments)[1])[1:]]

    assert seeds() == ["0", "1", "2"]
    assert seeds("--sort", "learning_rate") == ["1", "2", "0"]
    assert seeds("--sort", "learning_rate", "--reverse") == ["0", "2", "1"]
    assert seeds("--sort", "loss") == ["1", "2", "0"]  # NaN has no place in an order and comes last
    assert seeds("--limit", "2") == ["1", "2"]  # the newest
    assert seeds("--reverse", "--limit", "2") == ["2", "1"]
    assert seeds("--sort", "learning_rate", "--limit", "1") == ["1"]
    assert seeds("--where", "learning_rate<5e-3", "--where", "seed!=1") == ["2"]
    assert seeds("list", "--reverse") == ["2", "1", "0"]


def test_runs_without_the_measure_never_take_the_place_of_those_that_have_it(make_run: MakeRun, invoke: Invoke) -> None:
    for seed, loss in enumerate([0.3, None, 0.1, math.nan, 0.2]):
        make_run({LOSS: ScalarResult(loss)} if loss else None, seed=seed)

    def seeds(*arguments: str) -> list[str]:
        return [row[2] for row in cells(invoke("runs", "--sort", "loss", *arguments)[1])[1:]]

    assert seeds("--limit", "2") == ["2", "4"]
    assert seeds("--limit", "3") == ["2", "4", "0"]
    assert seeds("--limit", "3", "--reverse") == ["0", "4", "2"]
    assert seeds("--limit", "9") == ["2", "4", "0", "1", "3"]


def test_config_fields_can_be_shown(make_run: MakeRun, invoke: Invoke) -> None:
    make_run(hidden_layer_sizes=(8, 16))
    header, row = cells(invoke("runs", "--field", "hidden_layer_sizes")[1])
    assert dict(zip(header, row, strict=True))["hidden_layer_sizes"] == "8,16"


def test_a_config_value_cannot_steer_the_terminal(make_run: MakeRun, invoke: Invoke) -> None:
    make_run({ResultMetadata("lo\x1b[31mss"): 0.1}, dataset="\x1b]0;owned\x07\nx")
    make_run(dataset="digits")
    for arguments in (
        (),
        ("show", "2026010"),
        ("show", "20260101T000000000000Z"),
        ("diff", "latest", "20260101T000000000000Z"),
    ):
        code, out, err = invoke("runs", *arguments)
        assert not any(ord(c) < 32 and c != "\n" for c in out + err)
        assert code == (2 if arguments == ("show", "2026010") else 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lits",), "unknown command of runs 'lits'. Did you mean 'list'?"),
        (("--where", "learning_rat<1"), "Did you mean 'learning_rate'?"),
        (("--where", "learning_rate"), "not a condition; accepted: FIELD=VALUE"),
        (("--where", "learning_rate<fast"), "learning_rate is a number"),
        (("--where", "seed=77"), "none of the 1 runs meets seed=77"),
        (("--sort", "losss"), "Did you mean 'loss'?"),
        (("--metric", "losss"), "unknown measure 'losss'. Did you mean 'loss'?"),
        (("--field", "sed"), "unknown field or measure 'sed'. Did you mean 'seed'?"),
        (("show", "2030"), "no run '2030'"),
        (("diff", "latest"), "Missing argument"),
        (("list", "--limt", "3"), "No such option"),
    ],
)
def test_wrong_usage_exits_2_with_one_message(
    make_run: MakeRun, invoke: Invoke, arguments: tuple[str, ...], message: str
) -> None:
    make_run({LOSS: 0.5})
    code, out, err = invoke("runs", *arguments)
    assert code == 2
    assert out == ""
    assert message in err


def test_an_empty_directory_says_how_to_get_a_run(invoke: Invoke, experiments: Path) -> None:
    experiments.mkdir()
    code, _, err = invoke("runs")
    assert code == 2
    assert "holds no run yet. Try the folder in which your runs started" in err


def test_show_tells_all_that_the_directory_says(make_run: MakeRun, invoke: Invoke) -> None:
    path = make_run({LOSS: 0.5}, state="failed", reason="ValueError: no", learning_rate=0.25)
    save_environment(path, device="cpu")
    log(path, {LOSS: 0.4}, finished=False)
    code, out, err = invoke("runs", "show", path.name)
    assert (code, err) == (0, "")
    for line in ("status       failed", "reason       ValueError: no", "model        mlp pyml-core 0.1.0", "device"):
        assert line in out
    assert "learning_rate            0.25" in out
    assert "0.500 ± 0.010" in out
    assert "0.400 ± 0.010" not in out
    assert "numpy" not in out
    _, out, _ = invoke("runs", "show", path.name, "--all", "--packages")
    assert "numpy" in out
    out = out.partition("All records")[2]
    lines = [line.split() for line in out.splitlines() if line.strip().startswith("eval-")]
    assert [(line[:3], line[3]) for line in lines] == [
        (["eval-0001", "yes", "loss"], "0.500"),
        (["eval-0002", "NO", "loss"], "0.400"),
    ]


def test_show_all_tells_of_each_evaluation_the_seed_weights_step_and_time(experiments: Path, invoke: Invoke) -> None:
    first = {"step": 90, "weights": "ema", "sample_seed": 0}
    lines = [
        record(0.9, evaluation="train"),
        record(0.3, evaluation="eval-0001", source=first),
        record(0.4, measure("accuracy"), evaluation="eval-0001", source=first),
        finished("eval-0001", 2, at="2026-01-01T00:05:00+00:00"),
        record(0.2, evaluation="eval-0002", source={"step": 1200, "weights": "raw", "sample_seed": 7}),
    ]
    path = write_run(experiments, 0, lines, step=1200)
    code, out, _ = invoke("runs", "show", path.name, "--all")
    assert code == 0
    table = out.partition("All evaluations\n")[2].partition("\n\n")[0]
    assert [line.split() for line in table.splitlines()][2:] == [
        ["train", "1", "-", "-", "-", "-"],
        ["eval-0001", "2", "90", "ema", "0", "2026-01-01T00:05:00+00:00"],
        ["eval-0002", "1", "1,200", "raw", "7", "-"],
    ]


def test_show_all_tells_what_each_evaluation_was_asked_for(make_run: MakeRun, invoke: Invoke) -> None:
    path = make_run({LOSS: 0.5})
    about = {"evaluators": ["kid", "sampling"], "seed": 3, "features": None, "changes": {}}
    assert start_evaluation(path, about) == "eval-0002"
    code, out, err = invoke("runs", "show", path.name, "--all")
    assert code == 0
    assert "eval-0002" not in err
    settings = out.partition("Settings of the evaluations\n")[2].partition("\n\n")[0]
    assert settings.split() == ["eval-0002", "evaluators=kid,sampling", "seed=3"]
    (path / "evaluations/eval-0002.json").write_text("{")
    code, _, err = invoke("runs", "show", path.name, "--all")
    assert code == 0
    assert "eval-0002.json: is not valid JSON" in err


def test_show_of_a_broken_run_shows_what_there_is(make_run: MakeRun, invoke: Invoke) -> None:
    path = make_run({LOSS: 0.5})
    (path / "config.json").write_text("{")
    code, out, err = invoke("runs", "show", "latest")
    assert code == 0
    assert "0.500 ± 0.010" in out
    assert "(missing or unreadable)" in out
    assert "config.json: is not valid JSON" in err
    assert "environment.json: is missing" in err


def test_diff_names_what_differs_in_config_and_environment(make_run: MakeRun, invoke: Invoke) -> None:
    newer = {"model": {"name": "mlp", "distribution": "pyml-core", "version": "0.2.0"}}
    one, other = make_run(learning_rate=0.5), make_run(seed=1, learning_rate=0.25, plugins=newer)
    save_environment(one, device="cpu")
    save_environment(other, device="cuda")
    code, out, _ = invoke("runs", "diff", one.name, other.name)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["seed", "0", "1"] in lines
    assert ["learning_rate", "0.5", "0.25"] in lines
    assert ["model", "version", "0.1.0", "0.2.0"] in lines
    assert ["dataset", "name", "digits", "(missing)"] in lines
    assert ["device", "cpu", "cuda"] in lines
    assert "n_epochs" not in out
    assert "(no difference)" in out.partition("Packages")[2]
