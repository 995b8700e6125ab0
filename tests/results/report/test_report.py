"""The report: all of it in one file, nothing of a name that is markup, and what failed is said."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_runs import ACCURACY, LOSS, Invoke, MakeRun, log_curve, set_status
from PIL import Image
from written_runs import write_run

from core.runs.environment import save_environment
from core.utils.results import ResultMetadata, ScalarResult
from results.curve import GroupCurve
from results.report.curve_figures import thinned
from results.statistics.intervals import summarise

VOID = {"meta", "img", "br", "wbr"}
NASTY = "<script>alert(1)</script> \"'&lt; onload=x"


class Page(HTMLParser):
    """Reads a page: its tags, attributes and texts; fails on tags that do not nest."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style" and data.strip():
            self.texts.append(data)

    def sources(self) -> list[str]:
        return [attributes["src"] or "" for tag, attributes in self.tags if tag == "img"]


@pytest.fixture
def report(invoke: Invoke, tmp_path: Path):
    def make(*arguments: str) -> tuple[Page, str]:
        file = tmp_path / "report.html"
        code, out, _ = invoke("report", "-o", file, *arguments)
        assert code == 0
        assert out == f"Written: {file}\n"
        content = file.read_text()
        return Page(content), content

    return make


def some_runs(make_run: MakeRun) -> None:
    for model, shift in (("mlp", 0.3), ("unet", 0.1)):
        for seed in range(3):
            frechet = {ResultMetadata("frechet", n_steps=k): shift + 0.01 * seed for k in (5, 18)}
            loss = (
                shift + 0.01 * seed**2 + 0.0001 * (model == "unet" and seed == 2)
            )  # the pairs differ, so the error is known
            results = {LOSS: ScalarResult(loss, 0.004, 100), ACCURACY: 0.5 + 0.1 * seed, **frechet}
            path = make_run(results, model=model, seed=seed)
            log_curve(path, {10: 3.0 + seed, 20: 2.0 + shift * seed})
            (path / "samples").mkdir()
            Image.new("RGB", (20, 10), (10 * seed, 200, 3)).save(path / "samples" / "eval-0001.png")
    make_run(model="unet", seed=7, state="failed", reason="TrainingDivergedError: at step 12")


def test_the_report_has_groups_curves_samples_configs_and_failures(make_run: MakeRun, report) -> None:
    some_runs(make_run)
    page, _ = report()
    text = "\n".join(page.texts)
    for heading in (
        *("Answers", "Findings", "Results", "Training curves", "Quality against sampler steps", "Samples", "Configs"),
        *("Failures", "Runs", "How this page was made"),
    ):
        assert heading in page.texts
    assert "7 runs (1 failed, 6 finished) in 2 groups; runs of a group differ only in seed." in text
    # mlp: 0.30, 0.31, 0.34: mean 0.31667, sd 0.020817, half width 4.30265 × 0.020817/√3 = 0.0517
    assert "0.317 ± 0.052" in page.texts
    assert "within run " in page.texts
    assert "0.0040" in page.texts
    assert "TrainingDivergedError: at step 12" in page.texts
    assert "3 + 1 failed" in page.texts
    assert "Mean ± 95% t interval over runs" in text
    assert "Made by: " in text
    assert len([source for source in page.sources() if source.startswith("data:image/png")]) == 2
    assert len([source for source in page.sources() if source.startswith("data:image/svg+xml")]) == 2


def test_the_best_is_bold_only_where_it_is_resolved(make_run: MakeRun, report) -> None:
    some_runs(make_run)
    _, content = report()
    assert re.findall(r"<strong>([^<]*)</strong>", content) == ["0.117 ± 0.052"]


def test_everything_is_in_the_file_and_nothing_may_be_fetched_and_only_one_script_may_run(
    make_run: MakeRun, report
) -> None:
    some_runs(make_run)
    page, content = report()
    assert all(source.startswith("data:image/") for source in page.sources())
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object"}
        assert "srcset" not in attributes
        assert (attributes.get("href") or "./").startswith("./")
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in content
    assert "@import" not in content
    *data, script = page.scripts
    kinds = [attributes.get("type") for tag, attributes in page.tags if tag == "script"]
    assert kinds == ["application/json"] * len(data) + [None]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policies = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    ]
    for word in ("fetch", "XMLHttpRequest", "innerHTML", "http:", "https:", "import"):
        assert word not in script


def test_every_picture_has_a_text_alternative_and_every_column_a_header(make_run: MakeRun, report) -> None:
    some_runs(make_run)
    page, _ = report()
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert all(attributes.get("scope") == "col" for tag, attributes in page.tags if tag == "th")
    n_in_cards = sum("data-name" in attributes for tag, attributes in page.tags if tag == "td")
    assert n_in_cards > 10
    assert dict(page.tags)["html"] == {"lang": "en"}
    assert any(attributes.get("name") == "viewport" for tag, attributes in page.tags if tag == "meta")


def test_names_with_markup_stay_text(make_run: MakeRun, report) -> None:
    nasty = ResultMetadata(NASTY, n_steps=3)
    for dataset in (NASTY, "digits"):
        path = make_run({nasty: 0.5, ResultMetadata(NASTY, n_steps=9): 0.1}, dataset=dataset)
        log_curve(path, {1: 1.0, 2: 0.5})
        (path / "samples").mkdir()
        Image.new("RGB", (20, 10)).save(path / "samples" / "a.png")
    make_run(state="failed", reason=NASTY, dataset=NASTY, seed=3)
    page, content = report("--title", NASTY)
    assert len(page.scripts) == 2  # the values of one curve, and the script of the page
    assert content.count("<script") == 2
    assert NASTY in page.texts  # the heading, as it was written
    assert not [attributes for _, attributes in page.tags if any(name.startswith("on") for name in attributes)]
    for source in page.sources():
        if source.startswith("data:image/svg"):
            drawn = base64.b64decode(source.partition(",")[2]).decode()
            assert "<script" not in drawn


def test_a_report_of_runs_with_nothing_but_a_config_says_so(make_run: MakeRun, report) -> None:
    save_environment(make_run(), device="cpu")
    page, _ = report()
    assert "Training curves" not in page.texts
    assert "Samples" not in page.texts
    assert "None: every run finished and could be read." in page.texts


def test_runs_that_share_no_field_are_said_to_share_none(experiments: Path, report) -> None:
    for number, model in enumerate(("mlp", "unet")):
        write_run(experiments, number, model=model, seed=0)
    page, _ = report()
    assert "All runs share no field." in page.texts


def test_what_could_not_be_read_is_in_the_report(make_run: MakeRun, report) -> None:
    some_runs(make_run)
    (make_run({LOSS: 0.1}) / "status.json").write_text("{")
    torn = make_run({LOSS: 0.1})
    (torn / "samples").mkdir()
    (torn / "samples" / "a.png").write_bytes(b"no picture")
    page, _ = report()
    assert "Could not be read:" in page.texts
    assert any("status.json: is not valid JSON" in text for text in page.texts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "report.pdf"), "got the suffix '.pdf'; accepted: .html or .htm"),
        (("-o", "/nowhere/report.html"), "/nowhere/report.html: cannot be written"),
        (("--level", "0"), "--level: got 0"),
        (("--metric", "los"), "Did you mean 'loss'?"),
        (("--where", "sed=1"), "Did you mean 'seed'?"),
    ],
)
def test_wrong_usage_exits_2_with_one_message(
    make_run: MakeRun, invoke: Invoke, arguments: tuple[str, ...], message: str
) -> None:
    make_run({LOSS: 0.5})
    code, out, err = invoke("report", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_the_answers_stand_at_the_top_in_one_sentence_each(make_run: MakeRun, report) -> None:
    for model, shift in (("mlp", 0.3), ("unet", 0.1), ("other", 0.3)):
        for seed, noise in enumerate((0.00, 0.01, 0.03, 0.02)):
            moved = noise if model != "other" else 0.03 - noise
            make_run({LOSS: shift + moved, ACCURACY: 0.5 + 0.1 * seed}, model=model, seed=seed)
    page, _ = report()
    at = page.texts.index("Answers")
    assert at < page.texts.index("Results")
    # loss: 0.2 less in each seed, without spread, so nothing can be told of the error
    assert any(text.startswith("unet against mlp: ") for text in page.texts)
    assert "other against mlp: no difference at all in accuracy; cannot tell in loss." in page.texts
    assert any(text.startswith("accuracy: cannot tell which of 3 groups is the best") for text in page.texts)
    # the two identical measures and the loss of unet have no test: one answer is left
    assert any("the answer holds at 95%. In brackets" in text for text in page.texts)
    assert any("4 runs are too few to tell" in text for text in page.texts)


def test_a_difference_is_told_with_its_size_and_direction(make_run: MakeRun, report) -> None:
    for model, means in (("mlp", (0.30, 0.31, 0.32)), ("unet", (0.10, 0.12, 0.11))):
        for seed, mean in enumerate(means):
            make_run({LOSS: mean}, model=model, seed=seed)
    page, _ = report()
    # differences 0.20, 0.19, 0.21: mean 0.2, sd 0.01, half width 4.30265 × 0.01 / √3 = 0.0248
    assert "unet against mlp: better in loss by 0.2000 [0.1752, 0.2248]." in page.texts


def test_the_baseline_can_be_chosen_and_is_named(make_run: MakeRun, report, invoke: Invoke, tmp_path: Path) -> None:
    make_run(model="early", state="failed", reason="diverged")
    for model, means in (("mlp", (0.30, 0.31, 0.32)), ("unet", (0.10, 0.12, 0.11))):
        for seed, mean in enumerate(means):
            path = make_run({LOSS: mean}, model=model, seed=seed)
    page, _ = report()
    text = "\n".join(page.texts)
    assert "unet against mlp: better in loss by 0.2000" in text
    assert "Baseline: mlp, the oldest group; --baseline A chooses another." in text
    for chosen in ("model=unet", path.name):
        page, _ = report("--baseline", chosen)
        text = "\n".join(page.texts)
        assert "mlp against unet: worse in loss by 0.2000" in text
        assert "Baseline: unet. Each group is compared with it over seeds" in text
    for wrong, message in (("model=vae", "none of the 7 runs meets it"), ("model=early", "no finished run to compare")):
        code, _, err = invoke("report", "-o", tmp_path / "other.html", "--baseline", wrong)
        assert code == 2
        assert message in err
        assert not (tmp_path / "other.html").exists()


def test_letters_are_explained_beside_the_answers(make_run: MakeRun, report) -> None:
    for model in ("mlp", "unet"):
        for rate in (1e-3, 1e-4):
            for seed in range(2):
                make_run({LOSS: 0.3 + rate * seed}, model=model, learning_rate=rate, seed=seed)
    page, _ = report()
    meaning = [i for i, text in enumerate(page.texts) if text.startswith("A: mlp, learning_rate=0.001; B: ")]
    assert page.texts.index("Answers") < meaning[0] < page.texts.index("Results") < meaning[1]


def test_many_comparisons_are_summed_up_and_nothing_is_told_of_a_single_run(make_run: MakeRun, report) -> None:
    for i in range(12):
        for seed in range(2):
            make_run({LOSS: 0.5 + 0.01 * seed + 0.003 * i * (seed - 0.5)}, learning_rate=0.1 + i, seed=seed)
    page, _ = report()
    assert any(text.startswith("loss: of 11 groups against learning_rate=0.1, ") for text in page.texts)
    make_run({LOSS: 0.5}, model="unet")
    page, _ = report("--where", "model=unet")
    assert "Answers" not in page.texts


def test_failures_mixed_environments_and_stale_results_are_among_the_findings(make_run: MakeRun, report) -> None:
    for model in ("mlp", "unet"):
        for seed in range(3):
            path = make_run({LOSS: 0.3 + 0.01 * seed * (model == "mlp")}, model=model, seed=seed)
            environment = {"schema": "pyml.environment/1", "device": "cuda" if seed else "cpu"}
            (path / "environment.json").write_text(json.dumps(environment))
    make_run(model="unet", seed=3, state="failed", reason="diverged")
    page, _ = report()
    text = "\n".join(page.texts)
    assert "Mixed: device cpu (2 runs), cuda (4 runs). Separate them with --split-by FIELD." in text
    assert "unet: 1 of 4 runs failed, mlp: 0 of 3 (Fisher's exact test, p = 1)" in text
    page, _ = report("--split-by", "device")
    assert "Mixed:" not in "\n".join(page.texts)
    together = (
        "Cannot tell in any measure whether they differ from mlp, device=cpu: mlp, device=cuda; unet, device=cpu;"
    )
    assert any(text.startswith(together) for text in page.texts)
    assert "in 5 groups" in "\n".join(page.texts)


def test_the_list_of_runs_has_links_times_and_environments(make_run: MakeRun, report, experiments: Path) -> None:
    path = make_run({LOSS: 0.3})
    set_status(path, started_at="2026-01-01T10:00:00+00:00", finished_at="2026-01-01T12:05:00+00:00")
    set_status(make_run({LOSS: 0.3}, seed=1), started_at="no time", finished_at=None)
    page, content = report()
    assert f'href="./{experiments.name}/{path.name}/"' in content
    assert "2026-01-01 10:00" in page.texts
    assert "2 h 5 min" in page.texts
    assert '<td data-sort="7500.0">2 h 5 min</td>' in content


def test_a_link_can_name_nothing_but_a_directory(make_run: MakeRun, report, experiments: Path) -> None:
    path = make_run({LOSS: 0.3})
    strange = 'javascript:alert(1)"><script>'
    path.rename(experiments / strange.replace("/", ""))
    page, _ = report()
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [f"./{experiments.name}/javascript%3Aalert%281%29%22%3E%3Cscript%3E/"]


def test_the_values_of_curves_are_in_the_page_for_the_pointer(make_run: MakeRun, report) -> None:
    for seed in range(2):
        log_curve(make_run({LOSS: 0.3}, seed=seed), {10: 3.0 + seed, 20: 2.0})
    page, _ = report()
    values = json.loads(page.scripts[0])
    (line,) = values["lines"]
    assert (line["name"], line["n"], line["x"], line["y"]) == ("mlp", "2 runs", [10, 20], [3.5, 2.0])
    assert line["low"][0] == pytest.approx(3.5 - 12.7062 * 0.5, abs=1e-3)  # sd 1/√2, t(0.975, 1) from the tables
    left, top, right, bottom = values["box"]
    assert 0 < left < right < 1
    assert 0 < top < bottom < 1


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    curve = GroupCurve(tuple(range(1001)), tuple(summarise([float(i)]) for i in range(1001)), {0: ((0, 0.0), (7, 1.0))})
    found = thinned(curve, 100)
    assert len(found.positions) == len(found.summaries) == 100
    assert (found.positions[0], found.positions[-1]) == (0, 1000)
    assert [summary.mean for summary in found.summaries] == list(found.positions)
    assert found.runs[0] == ((0, 0.0),)
