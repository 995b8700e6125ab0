"""Tables of groups: what is known, what is not, and what is best beyond doubt."""

import csv
import io
import json
import math
import re
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, lists, sampled_from
from made_runs import ACCURACY, LOSS, Invoke, MakeRun
from scipy import stats
from written_runs import record, write_run

from core.config import ConfigError
from core.runs.environment import save_environment
from core.utils.results import ResultMetadata, ScalarResult
from results.database import ResultsDatabase
from results.groups import group_runs
from results.provenance import command_line, provenance
from results.statistics.intervals import paired_difference, welch_difference
from results.tables.best import _is_surely_open, marked_best
from results.tables.formats import FORMATS
from results.tables.table import Table, make_table, sort_groups
from results.text.escaping import csv_comment, csv_text, html_text, markdown_text
from results.text.latex import latex_text

N_TABLES = 600
NASTY = (
    "=cmd|' 日本± /C'!A0 & <script>alert(1)</script> \\input{x} $x_1^2$ 50% #1 ~ *b* [a](http://b) `c` --> | \"q\"\n"
)


def table(experiments: Path, *metadata: ResultMetadata, **options: object) -> Table:
    measures = {about: about.name for about in metadata or (LOSS,)}
    return make_table(group_runs(ResultsDatabase(experiments)), measures, **options)  # type: ignore[arg-type]


def cells(made: Table) -> list[list[str]]:
    return [made.texts(row) for row in made.rows]


def models(make_run: MakeRun, **values: list[float]) -> None:
    for model, of_model in values.items():
        for seed, value in enumerate(of_model):
            make_run({LOSS: ScalarResult(value, 0.0123, 100)}, model=model, seed=seed)


def test_a_row_is_a_group_over_seeds_with_its_interval_and_its_error_within_a_run(
    make_run: MakeRun, experiments: Path
) -> None:
    models(make_run, mlp=[0.2, 0.4, 0.6])
    made = table(experiments)
    assert made.header() == ["model", "runs", "loss ↓", "within run"]
    # sd 0.2, error 0.2/sqrt(3) = 0.11547, t(0.975, 2) = 4.30265
    assert cells(made) == [["mlp", "3", "0.40 ± 0.50", "0.012"]]
    assert cells(table(experiments, error="se", within=False)) == [["mlp", "3", "0.40 ± 0.12"]]
    assert "Mean ± 95% t interval over runs" in made.notes("*")
    assert "Mean ± standard error over runs" in table(experiments, error="se").notes("*")


def test_what_groups_differ_in_is_in_columns_of_its_own(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.5}, learning_rate=0.1, hidden_layer_sizes=(8, 8))
    make_run({LOSS: 0.5}, learning_rate=0.2, hidden_layer_sizes=(8,))
    made = table(experiments)
    assert made.fields == ("learning_rate", "hidden_layer_sizes")
    assert [row.fields for row in made.rows] == [("0.1", "8,8"), ("0.2", "8")]


def test_one_seed_is_an_unknown_error_and_its_own_error_cuts_the_digits(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: ScalarResult(0.123456789, 0.0123, 100)})
    assert cells(table(experiments)) == [["mlp", "1", "0.123 ± unknown", "0.012"]]


def test_the_interval_of_a_single_run_of_a_proportion_is_wilsons(make_run: MakeRun, experiments: Path) -> None:
    right = attrs.evolve(ACCURACY, kind="proportion")
    make_run({right: ScalarResult(1.0, 0.0, 25)}, model="mlp")
    for seed in range(2):
        make_run({right: ScalarResult(0.5 + seed / 10, 0.1, 25)}, model="unet", seed=seed)
    made = table(experiments, right, level=0.9)
    assert "Wilson" not in table(experiments, right, within=False).notes("*")
    assert [row[-1] for row in cells(made)] == ["0.902 to 1.000", "0.10"]  # 25 / (25 + 1.6449²) = 0.9023
    assert "Within one run's proportion: Wilson's 90% interval." in made.notes("*")
    single, several = csv.DictReader(io.StringIO(FORMATS["csv"](made, None)))
    assert float(single["wilson_low"]) == pytest.approx(25 / (25 + stats.norm.ppf(0.95) ** 2), rel=1e-12)
    assert (float(single["wilson_high"]), single["why_error_unknown"]) == (1.0, "one run")
    assert (several["wilson_low"], several["why_error_unknown"]) == ("", "")
    in_json = [group["measures"]["accuracy"] for group in json.loads(FORMATS["json"](made, None))["groups"]]
    assert in_json[0]["wilson_low"] == float(single["wilson_low"])
    assert (in_json[0]["why_error_unknown"], in_json[1]["wilson_high"]) == ("one run", None)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.5, 0.5, 0.5], "all 3 runs are equal"),
        ([0.5, 0.5], "both runs are equal"),
        ([0.5, math.nan], "1 of 2 runs not finite"),
        ([0.5, 0.6], ""),
    ],
)
def test_csv_says_why_the_error_over_runs_is_unknown(
    make_run: MakeRun, experiments: Path, values: list[float], reason: str
) -> None:
    models(make_run, mlp=values)
    (row,) = csv.DictReader(io.StringIO(FORMATS["csv"](table(experiments), None)))
    assert row["why_error_unknown"] == reason
    assert (row["standard_error"] == "") == bool(reason)


def test_runs_that_do_not_vary_have_an_unknown_error_and_few_digits(make_run: MakeRun, experiments: Path) -> None:
    for seed in range(3):
        make_run({LOSS: ScalarResult(1.5680761119115658, 0.25, 20)}, seed=seed)
    assert cells(table(experiments, within=False)) == [["mlp", "3", "1.57 ± unknown (all 3 runs are equal)"]]


def test_missing_failed_and_not_finite_are_said(make_run: MakeRun, experiments: Path) -> None:
    make_run({LOSS: 0.5, ACCURACY: 0.5}, learning_rate=0.1)
    make_run(learning_rate=0.2)
    make_run(learning_rate=0.3, state="failed")
    for seed, value in enumerate([0.5, math.nan, 0.7]):
        make_run({LOSS: ScalarResult(value, math.nan)}, learning_rate=0.4, seed=seed)
    make_run(learning_rate=0.4, seed=3)
    losses = [row[2] for row in cells(table(experiments))]
    assert losses == ["0.500 ± unknown", "missing", "failed", "nan ± unknown (n=3) (1 of 3 runs not finite)"]
    assert [row[1] for row in cells(table(experiments))] == ["1", "1", "0 + 1 failed", "4"]


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ({"a": [0.10, 0.11, 0.12], "b": [0.30, 0.33, 0.34]}, 0),
        ({"a": [0.10, 0.21, 0.32], "b": [0.30, 0.23, 0.34]}, None),  # cannot tell
        ({"a": [0.10, 0.11, 0.12], "b": [0.30, 0.33, 0.34], "c": [0.11, 0.10, 0.125]}, None),  # nor from the third
        ({"a": [0.10], "b": [0.30, 0.33, 0.34]}, None),  # one run
        ({"a": [0.10, 0.11, 0.12]}, None),  # nothing to be better than
        ({"a": [0.10, 0.11, 0.12], "b": [0.30, math.nan, 0.34]}, None),
    ],
)
def test_only_a_resolved_best_is_marked(
    make_run: MakeRun, experiments: Path, values: dict[str, list[float]], best: int | None
) -> None:
    models(make_run, **values)
    made = table(experiments)
    assert [i for i, row in enumerate(made.rows) if row.cells[0].is_best] == ([] if best is None else [best])
    assert ("significant at 95%" in made.notes("*")) is (best is not None)


def test_the_direction_decides_which_is_best_and_without_one_none_is(make_run: MakeRun, experiments: Path) -> None:
    size = ResultMetadata("size")
    for model, shift in (("a", 0.0), ("b", 0.3)):
        for seed in range(3):
            value = shift + 0.01 * seed + 0.001 * len(model) * seed**2 * (1 + shift)
            make_run({LOSS: value, ACCURACY: value, size: value}, model=model, seed=seed)
    made = table(experiments, LOSS, ACCURACY, size)
    assert [[cell.is_best for cell in row.cells] for row in made.rows] == [[True, False, False], [False, True, False]]


def test_rows_far_behind_do_not_cost_the_best_its_mark(make_run: MakeRun, experiments: Path) -> None:
    values = {"a": [0.10, 0.11, 0.12], "b": [0.16, 0.15, 0.195]}  # paired t = 5.75, p = 0.029
    models(make_run, **values)
    assert [row.cells[0].is_best for row in table(experiments).rows] == [True, False]
    models(make_run, c=[0.9, 0.93, 0.95], d=[0.9, 0.94, 0.95])
    made = table(experiments)
    assert [row.cells[0].is_best for row in made.rows] == [True, False, False, False]
    assert "two-sided t tests, paired over seeds if all rows have the same seeds, else Welch's" in made.notes("*")


def test_rows_of_other_seeds_are_tested_by_welch(make_run: MakeRun, experiments: Path) -> None:
    models(make_run, a=[0.10, 0.11, 0.12])
    for seed, value in ((7, 0.16), (8, 0.15), (9, 0.195)):  # Welch: p = 0.047
        make_run({LOSS: value}, model="b", seed=seed)
    p = stats.ttest_ind([0.10, 0.11, 0.12], [0.16, 0.15, 0.195], equal_var=False).pvalue
    assert [row.cells[0].is_best for row in table(experiments).rows] == [p < 0.05, False]


def test_rows_without_spread_are_not_marked(make_run: MakeRun, experiments: Path) -> None:
    models(make_run, a=[0.1, 0.1], b=[0.2, 0.2])
    assert not any(row.cells[0].is_best for row in table(experiments).rows)


def test_of_ten_rows_six_sd_apart_the_best_is_mostly_marked_and_of_equal_ones_hardly_ever() -> None:
    rng = np.random.default_rng(12)

    def share_marked(gap: float) -> float:
        marked = 0
        for _ in range(N_TABLES):
            values = rng.normal(0.0, 1.0, size=(10, 5)) + gap * (np.arange(10) == 3)[:, None]
            rows = [dict(enumerate(row)) for row in values.tolist()]
            marked += marked_best(rows, higher_is_better=True, level=0.95) is not None
        return marked / N_TABLES

    assert share_marked(6.0) > 0.9
    assert share_marked(0.0) < 0.05


def test_groups_are_sorted_by_a_measure_or_a_field(make_run: MakeRun, experiments: Path) -> None:
    for rate, loss in ((0.1, 0.5), (0.2, 0.1), (0.3, None), (0.05, 0.3)):
        make_run({} if loss is None else {LOSS: loss}, learning_rate=rate)
    groups = group_runs(ResultsDatabase(experiments))

    def rates(by: str) -> list[float]:
        return [group.config["learning_rate"] for group in sort_groups(groups, by, {LOSS: "loss"})]

    assert rates("loss") == [0.2, 0.05, 0.1, 0.3]
    assert rates("learning_rate") == [0.05, 0.1, 0.2, 0.3]
    with pytest.raises(ConfigError, match=r"'los'. Did you mean 'loss'\?"):
        rates("los")


def test_a_name_that_several_measures_have_sorts_no_table(make_run: MakeRun, experiments: Path) -> None:
    train = attrs.evolve(LOSS, protocol={"split": "train"})
    for rate, loss in ((0.1, 0.5), (0.2, 0.1)):
        make_run({LOSS: loss, train: 1 - loss}, learning_rate=rate)
    groups, measures = group_runs(ResultsDatabase(experiments)), {LOSS: "loss (held_out)", train: "loss (train)"}
    found = [group.config["learning_rate"] for group in sort_groups(groups, "loss (train)", measures)]
    assert found == [0.1, 0.2]
    with pytest.raises(ConfigError, match=re.escape("--sort loss: names 'loss (held_out)', 'loss (train)'.")):
        sort_groups(groups, "loss", measures)


def two(make_run: MakeRun) -> None:
    models(make_run, mlp=[0.30, 0.33, 0.34], unet=[0.10, 0.11, 0.12])


def test_text_is_aligned_and_marks_the_best_with_a_star(make_run: MakeRun, experiments: Path) -> None:
    two(make_run)
    lines = FORMATS["text"](table(experiments), None).splitlines()
    # mlp: mean 0.32333, sd 0.020817, half width 4.30265 × 0.020817/√3 = 0.0517; unet: sd 0.01, half width 0.0248
    assert lines[0].split() == ["model", "runs", "loss", "↓", "within", "run"]
    assert lines[2].split("  ")[-1] == "0.012"
    assert "0.323 ± 0.052" in lines[2]
    assert "0.110 ± 0.025 *" in lines[3]
    assert lines[2].index("±") == lines[3].index("±")


def test_markdown_marks_the_best_bold(make_run: MakeRun, experiments: Path) -> None:
    two(make_run)
    lines = FORMATS["markdown"](table(experiments), None).splitlines()
    assert lines[:4] == [
        "| model | runs | loss ↓ | within run |",
        "| :--- | :--- | ---: | ---: |",
        "| mlp | 3 | 0.323 ± 0.052 | 0.012 |",
        "| unet | 3 | **0.110 ± 0.025** | 0.012 |",
    ]


def test_latex_is_a_booktabs_tabular_with_the_best_bold(make_run: MakeRun, experiments: Path) -> None:
    two(make_run)
    lines = FORMATS["latex"](table(experiments), None).splitlines()
    body = [line for line in lines if not line.startswith("%")]
    assert body == [
        r"\begin{tabular}{llrr}",
        r"\toprule",
        r"model & runs & loss $\downarrow$ & within run \\",
        r"\midrule",
        r"mlp & 3 & 0.323 $\pm$ 0.052 & 0.012 \\",
        r"unet & 3 & \textbf{0.110 $\pm$ 0.025} & 0.012 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_csv_holds_every_number_in_full(make_run: MakeRun, experiments: Path) -> None:
    two(make_run)
    make_run(model="third", state="failed")
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](table(experiments), None))))
    assert [(row["model"], row["measure"], row["n_runs"], row["is_best"]) for row in rows] == [
        ("mlp", "loss", "3", "false"),
        ("unet", "loss", "3", "true"),
        ("third", "loss", "", "false"),
    ]
    assert float(rows[0]["mean"]) == pytest.approx(0.97 / 3)
    assert float(rows[1]["ci_high"]) == pytest.approx(0.11 + 4.30265 * 0.01 / math.sqrt(3), rel=1e-5)
    assert rows[2]["left_out"] == "1 failed"


def test_json_is_strict_and_complete(make_run: MakeRun, experiments: Path) -> None:
    two(make_run)
    make_run({LOSS: ScalarResult(math.nan)}, model="third")
    content = json.loads(FORMATS["json"](table(experiments), None), parse_constant=pytest.fail)
    assert content["schema"] == "pyml.table/1"
    assert content["measures"]["loss"]["protocol"] == {"split": "held_out"}
    groups = content["groups"]
    assert [group["group"] for group in groups] == ["model=mlp", "model=unet", "model=third"]
    assert groups[1]["measures"]["loss"]["is_best"] is False  # one group's mean is NaN: nothing is resolved
    assert groups[2]["measures"]["loss"]["mean"] is None
    assert len(groups[0]["runs"]) == 3


def test_a_written_table_says_which_command_runs_and_code_made_it(
    make_run: MakeRun, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_run({LOSS: 0.5})
    save_environment(path, device="cpu")
    monkeypatch.setattr("sys.argv", ["/somewhere/core/__main__.py", "table", "--where", "loss<1 --> %\n"])
    for suffix, start in ((".md", "<!--\n"), (".tex", "% "), (".csv", "# Made by"), (".txt", "# "), (".json", "{")):
        file = tmp_path / f"table{suffix}"
        code, out, _ = invoke("table", "--output", file)
        assert code == 0
        assert out == f"Written: {file}\n"
        content = file.read_text()
        assert content.startswith(start)
        assert "python -m core table --where 'loss<1 --" in content
        assert path.name in content
        assert "pyml-core 0.1.0" in content
        if suffix == ".md":
            assert content.count("-->") == 1
        if suffix == ".tex":
            before = content.partition(r"\begin{tabular}")[0]
            assert all(line.startswith("%") for line in before.splitlines())


def test_provenance_keeps_groups_apart_whose_labels_are_equal(experiments: Path) -> None:
    for number, value in enumerate((1, "1")):
        write_run(experiments, number, [record(0.3)], width=value)
    made_by = provenance(group_runs(ResultsDatabase(experiments)))
    assert list(map(len, made_by.runs.values())) == [1, 1]


def test_provenance_counts_the_code_versions_of_the_runs(make_run: MakeRun, experiments: Path) -> None:
    for seed in range(3):
        make_run({LOSS: 0.5}, seed=seed)
    make_run({LOSS: 0.5}, plugins={"model": {"name": "mlp", "distribution": "pyml-core", "version": "0.2.0"}})
    made_by = provenance(group_runs(ResultsDatabase(experiments)))
    assert made_by.code_versions == {"pyml-core 0.1.0": 3, "pyml-core 0.2.0": 1}
    assert [len(ids) for ids in made_by.runs.values()] == [3, 1]


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_a_comment_in_csv_is_skipped_by_readers_and_no_formula_where_it_is_not() -> None:
    assert csv_comment("a, b,=1+1;@x,\t-2") == "# a, b,'=1+1;'@x,'\t'-2"


def test_names_with_markup_stay_text_in_every_format(make_run: MakeRun, experiments: Path) -> None:
    nasty = ResultMetadata(NASTY, higher_is_better=False)
    for dataset in (NASTY, "digits"):
        for seed in range(2):
            make_run({nasty: 0.5 + 0.1 * seed}, dataset=dataset, seed=seed)
    groups = group_runs(ResultsDatabase(experiments))
    made = make_table(groups, {nasty: nasty.name})
    markdown, latex = FORMATS["markdown"](made, None), FORMATS["latex"](made, provenance(groups))
    assert "<script>" not in markdown
    assert "\\|" in markdown
    assert "](" not in markdown.replace("\\](", "")
    for row in markdown.splitlines()[:4]:
        assert row.replace("\\|", "").count("|") == 5
    assert not [line for line in latex.splitlines() if r"\input" in line and not line.startswith("%")]
    assert latex.isascii()
    assert "% Caption: Mean $\\pm$ 95\\% t interval over runs;" in latex  # ready for \caption
    for line in latex.splitlines():
        if line.endswith(r"\\"):
            assert line.replace(r"\&", "").count("&") == 3
    rows = list(csv.reader(io.StringIO(FORMATS["csv"](made, None))))
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@")) and not is_number(cell)]
    assert json.loads(FORMATS["json"](made, None))["groups"][0]["config"]["dataset"] == NASTY


@pytest.mark.parametrize(
    ("start", "shown"),
    [
        *((start, start) for start in ("=", "+", "-", "@", "\t", "＝", " =")),
        ("\r", "\ufffd"),
        ("\xa0=", " ="),  # a no-break space
        ("\u200b=", "\ufffd="),  # a zero-width space
        ("\ufeff=", "\ufffd="),  # a byte order mark
        ("\u202e \x9b@", "\ufffd \ufffd@"),
    ],
)
def test_a_formula_like_cell_is_text_in_a_spreadsheet(start: str, shown: str) -> None:
    assert csv_text(f"{start}1+1") == f"'{shown}1+1"


def test_ordinary_cells_and_numbers_are_left_alone() -> None:
    assert csv_text("unet") == "unet"
    assert csv_text("") == ""


def test_escaping_is_complete_for_each_language() -> None:
    assert html_text('<a href="x">\'&') == "&lt;a href=&quot;x&quot;&gt;&#x27;&amp;"
    assert latex_text("a_b & 5% #1 $x$ {y} ~ ^ \\ ±") == (
        r"a\_b \& 5\% \#1 \$x\$ \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{} $\pm$"
    )
    assert markdown_text("a_b | *c* <d> [e] `f` & \\\n g") == (r"a\_b \| \*c\* &lt;d&gt; \[e\] \`f\` &amp; \\ g")


def test_table_command_prints_groups_and_counts_further_measures(make_run: MakeRun, invoke: Invoke) -> None:
    for seed in range(2):
        make_run({ResultMetadata(f"m{i}"): 0.1 * seed + i for i in range(6)}, seed=seed)
    code, out, err = invoke("table")
    assert code == 0
    assert "m3" in out
    assert "m4" not in out
    assert "2 more measures: --metric NAME" in err
    assert "m5" in invoke("table", "--metric", "m*", "--no-within", "--error", "se")[1]


def test_results_of_different_protocols_never_share_a_column(make_run: MakeRun, invoke: Invoke) -> None:
    for model, split in (("mlp", "train"), ("unet", "held_out")):
        make_run({ResultMetadata("loss", protocol={"split": split}): 0.5}, model=model)
    _, out, _ = invoke("table")
    lines = out.splitlines()
    assert "loss (split=train)" in lines[0]
    assert "loss (split=held_out)" in lines[0]
    assert lines[2].count("missing") == lines[3].count("missing") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sort", "los"), "Did you mean 'loss'?"),
        (("--level", "1"), "--level: got 1; accepted: a number between 0 and 1"),
        (("--output", "table.docx"), "got the suffix '.docx'; accepted: .txt, .md, .tex, .csv, .json"),
        (("--output", "/nowhere/table.md"), "/nowhere/table.md: cannot be written"),
        (("--format", "html"), "'html' is not one of"),
        (("--where", "seed=5"), "none of the 1 runs meets seed=5. Values of seed: 0."),
    ],
)
def test_wrong_usage_exits_2_with_one_message(
    make_run: MakeRun, invoke: Invoke, arguments: tuple[str, ...], message: str
) -> None:
    make_run({LOSS: 0.5})
    code, out, err = invoke("table", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_without_any_readable_config_the_faults_are_named(make_run: MakeRun, invoke: Invoke) -> None:
    (make_run({LOSS: 0.5}) / "config.json").write_text("{")
    code, _, err = invoke("table")
    assert code == 2
    assert "config.json: is not valid JSON" in err
    assert "no run's config can be read" in err


@given(
    a=lists(floats(-1, 1), min_size=2, max_size=5),
    b=lists(floats(-1, 1), min_size=2, max_size=5),
    shift=floats(-3, 3),
    level=sampled_from([0.95, 0.999]),
)
def test_what_is_surely_open_is_never_resolved_by_a_test(
    a: list[float], b: list[float], shift: float, level: float
) -> None:
    b = [value + shift for value in b]
    if _is_surely_open([dict(enumerate(a)), dict(enumerate(b))], True, level):
        n = min(len(a), len(b))
        assert not paired_difference(a[:n], b[:n]).p_value < 1 - level
        assert not welch_difference(a, b).p_value < 1 - level


def test_the_command_that_a_table_names_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/me/bin/pyml", "table", "--where", "model=mlp", "--api-key", "abc"])
    assert command_line() == "pyml table --where model=mlp --api-key '<redacted>'"
