"""The fast reader of results.jsonl sees what the careful one sees, whatever a file holds; and single JSON files."""

import math
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats, integers, lists, none, sampled_from, text, tuples

from core.runs import fast_results
from core.runs.config_file import CONFIG
from core.runs.evaluations import EVALUATION_SCHEMA, finish_evaluation
from core.runs.fast_results import NewestResults, read_results
from core.runs.files import Fault, append_json_line, read_file
from core.runs.result_log import read_result_log
from core.runs.status import STATUS
from core.utils.results import ResultMetadata, ResultRecord, ResultSource, ScalarResult, log_record

METADATA = [
    ResultMetadata("loss"),
    ResultMetadata("loss", n_steps=18, protocol={"weights": "ema", "ratio": 0.5, "flag": True, "none": None}),
    ResultMetadata('odd "result": { name \\ } \n', n_samples=7, unit="batch", higher_is_better=True),
    ResultMetadata("ünïcödé", protocol={"metadata": '"result": {', "result": 3}, role="reference", kind="proportion"),
]
DIGEST = "sha256:" + "0123456789abcdef" * 4
SOURCES = [
    None,
    ResultSource(),
    ResultSource(step=1200),
    ResultSource(step=0, digest=DIGEST, weights="raw", sample_seed=7),
]
records = tuples(
    sampled_from(METADATA),
    floats(),
    floats(min_value=0) | sampled_from([math.nan]),
    none() | integers(0, 10**12),
    sampled_from([None, "train", "eval-0001", "eval-0002"]),
    sampled_from(SOURCES),
)
Row = tuple[ResultMetadata, float, float, int | None, str | None, ResultSource | None]
Read = list[tuple[ResultMetadata, str, str, ScalarResult, ResultSource | None]]
HEAD = '{"schema": "pyml.result/1", "evaluation": null, "metadata": {"name": "x"'
FULL = HEAD + ', "n_steps": null, "n_samples": null, "unit": "sample", "protocol": {}, "higher_is_better": null'
USUAL = '{"mean": 0.5, "error": 0.1, "n": 3, "n_nan": 0, "n_inf": 0}'


def write(run_path: Path, rows: list[Row]) -> None:
    for metadata, mean, error, n, evaluation, source in rows:
        record = ResultRecord(metadata, ScalarResult(mean, error, n, n_nan=1, n_inf=2), source)
        log_record(record, run_path, evaluation=evaluation)


def careful(run_path: Path) -> Read:
    records = read_result_log(run_path).newest()
    return [(r.metadata, r.metadata.role, r.metadata.kind, r.result, r.source) for r in records]


def fast(run_path: Path) -> Read:
    found = read_results(run_path)
    return [
        (metadata, metadata.role, metadata.kind, ScalarResult(**fields), found.sources.get(metadata))
        for metadata, fields in found.measures.items()
    ]


@settings(max_examples=60, deadline=None)
@given(rows=lists(records, max_size=8), finished=sampled_from([[], ["eval-0001"], ["eval-0001", "eval-0002"]]))
def test_the_fast_reader_agrees_with_cores(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple], finished: list[str]
) -> None:
    run_path = tmp_path_factory.mktemp("run")
    write(run_path, rows)
    for evaluation in finished:
        finish_evaluation(run_path, evaluation, 1)
    assert fast(run_path) == careful(run_path)


@settings(max_examples=60, deadline=None)
@given(rows=lists(records, min_size=2, max_size=4), cut=integers(1, 400), junk=text(max_size=20))
def test_the_fast_reader_agrees_with_cores_on_a_torn_file(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple], cut: int, junk: str
) -> None:
    run_path = tmp_path_factory.mktemp("run")
    write(run_path, rows[:-1])
    path = run_path / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-cut] + junk.encode())
    write(run_path, rows[-1:])
    assert fast(run_path) == careful(run_path)
    assert len(read_results(run_path).faults) == len(read_result_log(run_path).faults)


def test_ordinary_files_never_need_the_careful_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} was read slowly")

    monkeypatch.setattr(fast_results, "_careful_results", refuse)
    rows = [
        (metadata, mean, 0.1, 3, "eval-0001", source)
        for metadata, mean, source in zip(METADATA, [0.5, math.nan, math.inf, 1], SOURCES, strict=True)
    ]
    write(tmp_path, rows)
    finish_evaluation(tmp_path, "eval-0001", 4)
    assert [result.mean for _, _, _, result, _ in fast(tmp_path)][2:] == [math.inf, 1.0]
    assert [source for *_, source in fast(tmp_path)] == SOURCES


@pytest.mark.parametrize(
    "line",
    [
        '{"schema": "pyml.result/1", "evaluation": null, "metadata": {"name": "x"}, "result": {"mean": "high"}}',
        '{"schema": "pyml.result/2", "evaluation": null, "metadata": {}, "result": {}}',
        '{"schema": "pyml.result/1", "evaluation": null}',
        "[1, 2]",
        '{"schema": "pyml.result/1", "evalu',
        HEAD + ', "role": "x"}, "result": {"mean": 0.5}}',
        HEAD + ', "role": null}, "result": {"mean": 0.5}}',
        HEAD + ', "kind": 3}, "result": {"mean": 0.5}}',
        FULL + ', "role": "x", "kind": "mean"}, "result": ' + USUAL + "}",
        FULL + '}, "result": ' + USUAL + ', "source": {"digest": "sha256:12"}}',
        FULL + '}, "result": ' + USUAL + ', "source": {"weights": "x"}}',
        FULL + '}, "result": ' + USUAL + ', "source": {"step": -1}}',
        FULL + '}, "result": ' + USUAL + ', "source": {"step": true}}',
        FULL + '}, "result": ' + USUAL + ', "source": 3}',
    ],
)
def test_a_line_that_cannot_be_read_is_reported_and_the_others_are_kept(tmp_path: Path, line: str) -> None:
    write(tmp_path, [(METADATA[0], 0.5, 0.1, 3, None, None)])
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write(line)
    write(tmp_path, [(METADATA[1], 0.25, 0.1, 3, None, None)])
    found = read_results(tmp_path)
    assert [fields["mean"] for fields in found.measures.values()] == [0.5, 0.25]
    assert len(found.faults) == 1
    assert "results.jsonl" in str(found.faults[0])
    assert "skipped" in str(found.faults[0])


def test_a_record_with_another_spacing_or_order_is_read_all_the_same(tmp_path: Path) -> None:
    record = attrs.asdict(METADATA[0]) | {"protocol": {}}
    append_json_line(
        tmp_path / "results.jsonl",
        {"result": {"n": 3, "error": 0.1, "mean": 0.5}, "metadata": record, "schema": "pyml.result/1"},
    )
    append_json_line(tmp_path / "results.jsonl", {"evaluation": "eval-0001", "schema": EVALUATION_SCHEMA})
    assert fast(tmp_path) == [(METADATA[0], "primary", "mean", ScalarResult(0.5, 0.1, 3), None)]


@pytest.mark.parametrize(
    ("tail", "source"),
    [
        ("}", None),
        (', "source": null}', None),
        (', "source": {}}', ResultSource()),
        (', "source": {"step": null, "weights": "ema"}}', ResultSource(weights="ema")),
    ],
)
def test_a_record_may_leave_out_what_it_does_not_know(tmp_path: Path, tail: str, source: ResultSource | None) -> None:
    (tmp_path / "results.jsonl").write_text(FULL + '}, "result": ' + USUAL + tail + "\n")
    assert fast(tmp_path) == careful(tmp_path)
    assert fast(tmp_path) == [(ResultMetadata("x"), "primary", "mean", ScalarResult(0.5, 0.1, 3), source)]


def test_the_newest_records_role_and_source_count(tmp_path: Path) -> None:
    write(tmp_path, [(ResultMetadata("x"), 0.5, 0.1, 3, None, SOURCES[3])])
    write(tmp_path, [(ResultMetadata("x", role="part"), 0.25, 0.1, 3, None, None)])
    assert fast(tmp_path) == careful(tmp_path)
    assert [(role, source) for _, role, _, _, source in fast(tmp_path)] == [("part", None)]


def test_no_results_file_means_no_results() -> None:
    assert read_results("/nowhere") == NewestResults()


def test_an_object_is_read_or_its_fault_is_named(tmp_path: Path) -> None:
    path = tmp_path / "status.json"

    def fault() -> str:
        found = STATUS.read(tmp_path)
        assert isinstance(found, Fault)
        return str(found)

    assert fault() == f"{path}: is missing"
    for content, reason in (
        ("", "is not valid JSON"),
        ('{"schema": "pyml.sta', "is not valid JSON"),
        ('{"schema": "pyml.status/1"} x', "is not valid JSON"),
        ("[]", "holds a list, not an object"),
        ('{"schema": "pyml.status/9"}', r"has schema 'pyml.status/9'; this version reads 'pyml.status/1'"),
    ):
        path.write_text(content)
        assert reason in fault()
    path.write_bytes(b'{"schema": "\xff"}')
    assert "is not valid JSON" in fault()
    path.write_text(' {"schema": "pyml.status/1", "state": "running"}\n')
    assert STATUS.read(tmp_path) == {"schema": "pyml.status/1", "state": "running"}


def test_a_directory_in_place_of_a_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").mkdir()
    (tmp_path / "config.json").mkdir()
    found = read_results(tmp_path)
    assert "cannot be read" in str(found.faults[0])
    assert "cannot be read" in str(CONFIG.read(tmp_path))


@pytest.mark.parametrize("size", [0, 1, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, (1 << 20) + (1 << 16), 3_000_000])
def test_files_of_any_size_are_read_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(bytes(range(251)) * (size // 251) + b"x" * (size % 251))
    assert read_file(str(tmp_path / "file")) == (tmp_path / "file").read_bytes()
