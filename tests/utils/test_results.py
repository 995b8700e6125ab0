"""Results: immutable, hashable, printed readably, and the same after a round trip through JSON."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.runs import strict_json
from core.runs.serialise import UnknownFieldWarning, structure, unstructure
from core.utils.results import ResultCollection, ResultMetadata, ResultRecord, ResultSource, ScalarResult, log_record

LOSS = ResultMetadata("loss", n_steps=18, unit="image", protocol={"split": "held_out", "draws": 4})
RECORD = ResultRecord(LOSS, ScalarResult(0.12345, 0.0012, 360))

floats = st.floats(allow_nan=True, allow_infinity=True)
scalars = st.one_of(
    st.text(), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)
)
metadata = st.builds(
    ResultMetadata,
    name=st.text().filter(str.strip),
    n_steps=st.none() | st.integers(0, 10**6),
    n_samples=st.none() | st.integers(0, 10**6),
    unit=st.sampled_from(["image", "run"]),
    protocol=st.dictionaries(st.text(), scalars, max_size=4),
    higher_is_better=st.sampled_from([None, True, False]),
    role=st.sampled_from(["primary", "part", "reference"]),
    kind=st.sampled_from(["mean", "proportion"]),
)
sources = st.builds(
    ResultSource,
    step=st.none() | st.integers(0, 10**9),
    digest=st.none() | st.binary(min_size=32, max_size=32).map(lambda digest: f"sha256:{digest.hex()}"),
    weights=st.sampled_from([None, "ema", "raw"]),
    sample_seed=st.none() | st.integers(),
)
results = st.builds(
    ScalarResult, mean=floats, error=floats.map(abs), n=st.none() | st.integers(0, 2**70), n_nan=st.integers(0, 9)
)


def test_metadata_is_a_dict_key_whatever_the_order_of_its_protocol() -> None:
    other = ResultMetadata("loss", n_steps=18, unit="image", protocol=(("split", "held_out"), ("draws", 4)))
    assert {LOSS: 1}[other] == 1
    assert LOSS.protocol == (("draws", 4), ("split", "held_out"))


def test_comparable_means_equal_name_unit_and_protocol() -> None:
    assert LOSS.is_comparable_with(attrs.evolve(LOSS, n_steps=5))
    for change in ({"name": "other"}, {"unit": "run"}, {"protocol": {"split": "train"}}):
        assert not LOSS.is_comparable_with(attrs.evolve(LOSS, **change))


@pytest.mark.parametrize("value", [LOSS, RECORD, RECORD.result, ResultCollection([RECORD])])
def test_results_are_frozen(value: Any) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, attrs.fields(type(value))[0].name, None)


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (3, r"protocol: got 3 \(int\); accepted: a mapping"),
        ({"a": [1]}, "protocol: a: got a list; accepted: str, int, float, bool, None"),
        ({"a": math.nan}, "protocol: a: got nan; accepted: a finite number"),
        ([("a", 1), ("a", 2)], "protocol: a name came twice"),
        ([("a",)], "protocol: got the entry .*; accepted: a name and a scalar"),
    ],
)
def test_a_protocol_that_could_not_be_compared_is_refused(protocol: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ResultMetadata("x", protocol=protocol)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ResultRecord(1, 2), r"metadata: got 1 \(int\); accepted: ResultMetadata. Try: ResultMetadata\('name'"),
        (lambda: ResultRecord(LOSS, 2.0), r"result: got 2.0 \(float\); accepted: ScalarResult. Try: ScalarResult"),
        (lambda: ResultRecord(LOSS, ScalarResult(1.0), 3), r"source: got 3 \(int\); accepted: ResultSource or None"),
        (lambda: ResultMetadata(""), "name: got ''; accepted: a text that is not blank, such as 'loss'"),
        (lambda: ResultMetadata("x", unit=" "), "unit: got ' '; accepted: a text that is not blank"),
        (lambda: ResultMetadata(None), r"name: got None \(NoneType\); accepted: a text"),
        (lambda: ResultMetadata("a\ud800"), r"name: got 'a\\ud800'; accepted: a text that UTF-8 can hold"),
        (
            lambda: ResultMetadata("a", protocol={"b": "\udfff"}),
            r"protocol: got '\\udfff'; accepted: a text that UTF-8",
        ),
        (lambda: ResultMetadata("a", n_steps=1.5), r"n_steps: got 1.5 \(float\); accepted: an integer from 0 up"),
        (lambda: ResultMetadata("a", n_samples=-1), "n_samples: got -1"),
        (lambda: ResultMetadata("a", higher_is_better="yes"), r"higher_is_better: got 'yes' \(str\); accepted: True"),
        (lambda: ScalarResult("1"), r"mean: got '1' \(str\); accepted: a real number"),
        (lambda: ScalarResult(1j), r"mean: got 1j \(complex\); accepted: a real number"),
        (lambda: ScalarResult(10**400), "mean: got an integer beyond the range of a float64"),
        (lambda: ScalarResult(1.0, "x"), r"error: got 'x' \(str\)"),
        (lambda: ScalarResult(1.0, n=True), r"n: got True \(bool\)"),
        (lambda: ScalarResult(1.0, n_nan=None), r"n_nan: got None \(NoneType\)"),
        (lambda: ResultSource(step="a"), r"step: got 'a' \(str\)"),
        (lambda: ResultSource(sample_seed=0.5), r"sample_seed: got 0.5 \(float\); accepted: an integer or None"),
    ],
)
@pytest.mark.parametrize("kind", [TypeError, ValueError])
def test_a_record_that_could_not_be_saved_is_refused(build: Any, message: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=message):
        build()


def test_a_log_takes_records_only_and_writes_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TypeError, match=r"record: got .*\(ScalarResult\); accepted: a ResultRecord. Try: ResultRecord"):
        log_record(RECORD.result, tmp_path)  # type: ignore[arg-type]
    assert not (tmp_path / "results.jsonl").exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("evaluation", ["../x", "", "a b", "x" * 65, 3])
def test_a_log_refuses_an_evaluation_that_no_reader_accepts(tmp_path: Path, evaluation: Any) -> None:
    with pytest.raises(TypeError, match=r"evaluation: got .*accepted: up to 64 letters.*Run.open"):
        log_record(ResultRecord(LOSS, ScalarResult(1.0)), tmp_path, evaluation=evaluation)
    assert not list(tmp_path.iterdir())


def test_scalars_of_numpy_are_scalars_of_a_protocol() -> None:
    np = pytest.importorskip("numpy")
    plain = ResultMetadata("x", protocol={"n": 3, "rate": 0.5, "flag": True})
    assert ResultMetadata("x", protocol={"n": np.int64(3), "rate": np.float32(0.5), "flag": np.bool_(True)}) == plain


def test_a_negative_error_is_refused() -> None:
    with pytest.raises(ValueError, match=r"error: got -1.0; accepted: a number from 0 up"):
        ScalarResult(1.0, -1.0)


def test_nan_results_are_equal_to_themselves() -> None:
    assert ScalarResult(math.nan, math.nan) == ScalarResult(float("nan"), float("nan"))
    assert ScalarResult(math.nan) != ScalarResult(1.0)
    assert len({ScalarResult(math.nan), ScalarResult(float("nan"))}) == 1


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.lists(st.builds(ResultRecord, metadata, results, st.none() | sources), max_size=4))
def test_a_collection_survives_strict_json_bit_for_bit(records: list[ResultRecord]) -> None:
    collection = ResultCollection(records)
    text = strict_json.dumps(unstructure(collection))
    again = structure(json.loads(text, parse_constant=pytest.fail), ResultCollection)
    assert again == collection
    for mine, other in zip(collection, again, strict=True):
        assert mine.result.mean.hex() == other.result.mean.hex()
        assert (mine.metadata.role, mine.metadata.kind) == (other.metadata.role, other.metadata.kind)


def test_role_and_kind_are_no_part_of_equality_or_hash() -> None:
    other = attrs.evolve(LOSS, role="part", kind="proportion")
    assert other == LOSS
    assert {LOSS: 1}[other] == 1
    assert other.is_comparable_with(LOSS)
    assert (LOSS.role, LOSS.kind) == ("primary", "mean")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ResultMetadata("x", role="x"), "role: got 'x'; accepted: 'primary', 'part', 'reference'"),
        (lambda: ResultMetadata("x", kind=None), "kind: got None; accepted: 'mean', 'proportion'"),
        (lambda: ResultSource(weights="average"), "weights: got 'average'; accepted: 'ema', 'raw'"),
        (lambda: ResultSource(digest="sha256:12"), "digest: got 'sha256:12'; accepted: 'sha256:' and 64 hex"),
        (lambda: ResultSource(step=-1), r"got -1 \(int\); accepted: an integer from 0 up"),
        (lambda: ResultSource(sample_seed=0.5), r"got 0.5 \(float\); accepted: an integer or None"),
    ],
)
def test_words_that_no_reader_knows_are_refused(build: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        build()


def test_a_source_takes_little_room_in_a_file_and_none_takes_nothing() -> None:
    assert "source" not in unstructure(RECORD)
    assert unstructure(attrs.evolve(RECORD, source=ResultSource(step=3)))["source"] == {"step": 3}


def test_nan_is_null_and_infinities_are_strings_in_json() -> None:
    text = strict_json.dumps(unstructure(ScalarResult(math.nan, math.inf)))
    assert text == '{"mean": null, "error": "Infinity", "n": null, "n_nan": 0, "n_inf": 0}'
    assert '"mean": "-Infinity"' in strict_json.dumps(unstructure(ScalarResult(-math.inf)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"metadata": {"name": 3}, "result": {"mean": 1.0}},
            r"got 3 \(int\); accepted: str @ ResultRecord.metadata.name",
        ),
        (
            {"metadata": {"name": "x"}, "result": {"mean": "1"}},
            "got '1'; accepted: a number, null for NaN.*result.mean",
        ),
        ({"metadata": {"name": "x"}}, "missing field 'result' @ ResultRecord.result"),
        ({"metadata": {"name": "x"}, "result": {"mean": 1.0, "n": 2.5}}, r"got 2.5 \(float\)"),
    ],
)
def test_a_corrupt_record_is_refused_with_the_place_and_the_reason(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        structure(value, ResultRecord)


def test_an_unknown_field_is_ignored_and_said_so_once() -> None:
    row = {**unstructure(RECORD), "from_the_future": 1}
    with pytest.warns(UnknownFieldWarning, match="ignoring the unknown field ResultRecord.from_the_future"):
        assert structure(row, ResultRecord) == RECORD
    assert structure(row, ResultRecord) == RECORD  # a second warning would be an error


def test_results_print_readably() -> None:
    assert str(RECORD.result) == "0.1235 ± 0.0012"
    assert str(RECORD) == "loss: 0.1235 ± 0.0012  (n = 360, unit image, n_steps=18)"
    assert str(LOSS) == "loss (per image; n_steps=18, draws=4, split=held_out)"
    assert str(ScalarResult(1.0, 0.5, n=4998, n_nan=2, n_inf=1)) == "1.00 ± 0.50 (3 of 5,000 not finite)"


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (ScalarResult(1.0, 0.0, 25), "1.0 ± unknown (all 25 observations are equal)"),
        (ScalarResult(0.1, 0.0, 1000), "0.1 ± unknown (all 1,000 observations are equal)"),
        (ScalarResult(1.0, 0.0, 5, n_nan=2), "1.0 ± unknown (all 5 observations are equal; 2 of 7 not finite)"),
        (ScalarResult(1.0, 0.0), "1.0 ± 0"),  # whoever says so without an n knows
        (ScalarResult(1.0, 1e-300, 25), "1.0 ± 1e-300"),
    ],
)
def test_equal_observations_leave_the_error_unknown(result: ScalarResult, text: str) -> None:
    assert str(result) == text


def test_equal_times_have_no_known_error_either() -> None:
    record = ResultRecord(ResultMetadata("time/x"), ScalarResult(0.002, 0.0, 3))
    assert record.value() == "2 ms ± unknown (all 3 observations are equal)"


def test_a_notebook_shows_results_as_html() -> None:
    name = "<b>&loss"
    record = ResultRecord(ResultMetadata(name, unit="<i>", protocol={"split": "a<b"}), ScalarResult(1.0, 0.5, 1234))
    for shown in (record, record.result, ResultCollection([record]), ResultCollection()):
        html = shown._repr_html_()
        assert "<b>" not in html
        assert "<i>" not in html
        assert "a<b" not in html
    html = ResultCollection([record])._repr_html_()
    root = ElementTree.fromstring(f"<div>{html}</div>")
    assert [cell.text for cell in root.iter("td")] == [name, "1.00 ± 0.50", "1,234", "<i>", None]
    assert [note.text for note in root.iter("p")] == [f"{name}: split=a<b"]


def test_times_print_in_the_unit_that_fits() -> None:
    times = [ScalarResult(0.0123, 0.00045, 3), ScalarResult(90.0, n=1)]
    texts = [ResultRecord(ResultMetadata("time/train", unit="run"), time).value() for time in times]
    assert texts == ["(12.30 ± 0.45) ms", "90 s ± unknown"]


def test_a_collection_prints_as_a_table_aligned_at_the_error() -> None:
    table = str(ResultCollection([RECORD, ResultRecord(ResultMetadata("score"), ScalarResult(1234.5))]))
    header, rule, first, second = table.splitlines()[:4]
    assert header.split() == ["result", "mean", "±", "error", "n", "unit", "details"]
    assert first.index("±") == second.index("±")
    assert set(rule) == {"─", " "}
    assert str(ResultCollection()) == "(no results)"


def test_what_the_protocols_of_a_table_share_stands_once_below_it() -> None:
    shared = {"split": "held_out", "draws": 4}
    records = [
        ResultRecord(ResultMetadata(name, protocol={**shared, **own}), ScalarResult(1.0, 0.5, 3))
        for name, own in [("loss", {}), ("loss/low", {"sigma": 0.1}), ("loss/high", {"sigma": 5})]
    ]
    lines = str(ResultCollection(records)).splitlines()
    assert [line.split()[-1] for line in lines[2:5]] == ["sample", "sigma=0.1", "sigma=5"]
    assert lines[5:] == ["", "loss: draws=4, split=held_out"]


def test_what_several_measures_share_stands_once_below_the_table() -> None:
    # nearest/held_out is not sampled, so that its family alone does not share the sampler.
    protocols: dict[str, dict[str, object]] = {
        "kid": {"data": "digits", "sampler": "heun", "kernel": "cubic"},
        "nearest": {"data": "digits", "sampler": "heun", "n_samples": 500},
        "nearest/held_out": {"data": "digits", "n_images": 359},
        "loss": {"data": "digits", "kernel": 3},
    }
    records = [
        ResultRecord(
            ResultMetadata(name, n_samples=500 if name == "nearest" else None, protocol=protocol),
            ScalarResult(1.0, 0.5, 3),
        )
        for name, protocol in protocols.items()
    ]
    lines = str(ResultCollection(records)).splitlines()
    assert [line.split()[-1] for line in lines[2:6]] == ["sample", "n_samples=500", "n_images=359", "sample"]
    assert lines[6:] == [
        "",
        "all results that have it: data=digits, sampler=heun",
        "kid: kernel=cubic",
        "loss: kernel=3",
    ]


def test_collections_iterate_concatenate_filter_and_group() -> None:
    other = ResultRecord(attrs.evolve(LOSS, n_steps=5), ScalarResult(2.0))
    collection = ResultCollection([RECORD]) + ResultCollection([other])
    assert list(collection) == [RECORD, other]
    assert len(collection) == 2
    assert list(collection.filter(n_steps=5)) == [other]
    assert list(collection.filter(lambda record: record.result.mean < 1)) == [RECORD]
    assert len(collection.filter(protocol={"split": "held_out"})) == 2
    assert len(collection.filter(protocol={"split": "train"})) == 0
    assert {key: len(group) for key, group in collection.group_by("n_steps").items()} == {18: 1, 5: 1}
    assert set(collection.group_by("name", "n_steps")) == {("loss", 18), ("loss", 5)}
    with pytest.raises(ValueError, match=r"unknown metadata field 'nmae'\. Did you mean 'name'"):
        collection.filter(nmae="loss")


def test_rows_for_a_data_frame_hold_metadata_and_result() -> None:
    (row,) = ResultCollection([RECORD]).to_rows()
    assert row["name"] == "loss"
    assert row["protocol"] == {"draws": 4, "split": "held_out"}
    assert (row["mean"], row["error"], row["n"]) == (0.12345, 0.0012, 360)
    assert (row["role"], row["kind"], row["source_step"]) == ("primary", "mean", None)


def test_the_logger_prints_and_saves_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log_record(RECORD, tmp_path, evaluation="eval-0001")
    log_record(RECORD, tmp_path, save=False)
    assert capsys.readouterr().out == f"{RECORD}\n" * 2
    row = json.loads((tmp_path / "results.jsonl").read_text())
    assert (row["schema"], row["evaluation"]) == ("pyml.result/1", "eval-0001")
    assert structure(row, ResultRecord) == RECORD


def test_results_import_neither_cattrs_nor_torch() -> None:
    code = "import sys, core.utils.results; print(sorted({'cattrs', 'torch', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
