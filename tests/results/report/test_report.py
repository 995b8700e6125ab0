"""The report: all of it in one file, nothing of a name that is markup, and what failed is said."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_runs import ACCURACY, LOSS, Invoke, MakeRun, log_curve
from PIL import Image

from core.runs.environment import save_environment
from core.utils.results import ResultMetadata, ScalarResult

VOID = {"meta", "img", "br", "wbr"}
NASTY = "<script>alert(1)</script> \"'&lt; onload=x"


class Page(HTMLParser):
    """Reads a page: its tags, attributes and texts; fails on tags that do not nest."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
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
        if self.open and self.open[-1] != "style" and data.strip():
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
            results = {LOSS: ScalarResult(shift + 0.01 * seed**2, 0.004, 100), ACCURACY: 0.5 + 0.1 * seed, **frechet}
            path = make_run(results, model=model, seed=seed)
            log_curve(path, {10: 3.0 + seed, 20: 2.0 + shift * seed})
            (path / "samples").mkdir()
            Image.new("RGB", (20, 10), (10 * seed, 200, 3)).save(path / "samples" / "eval-0001.png")
    make_run(model="unet", seed=7, state="failed", reason="TrainingDivergedError: at step 12")


def test_the_report_has_groups_curves_samples_configs_and_failures(make_run: MakeRun, report) -> None:
    some_runs(make_run)
    page, _ = report()
    text = "\n".join(page.texts)
    for heading in ("Results", "Training curves", "Quality against sampler steps", "Samples", "Configs", "Failures"):
        assert heading in page.texts
    assert "7 runs (1 failed, 6 finished) in 2 groups; runs of a group differ only in seed." in text
    # mlp: 0.30, 0.31, 0.34: mean 0.31667, sd 0.020817, half width 4.30265 × 0.020817/√3 = 0.0517
    assert "0.317\u00a0±\u00a00.052" in page.texts
    assert "within\u00a0run\u00a00.0040" in page.texts
    assert "TrainingDivergedError: at step 12" in page.texts
    assert "3 + 1 failed" in page.texts
    assert "Mean ± 95% t interval over runs" in text
    assert "Made by: " in text
    assert len([source for source in page.sources() if source.startswith("data:image/png")]) == 2
    assert len([source for source in page.sources() if source.startswith("data:image/svg+xml")]) == 2


def test_the_best_is_bold_only_where_it_is_resolved(make_run: MakeRun, report) -> None:
    some_runs(make_run)
    _, content = report()
    assert re.findall(r"<strong>([^<]*)</strong>", content) == ["0.117\u00a0±\u00a00.052"]


def test_everything_is_in_the_file_and_nothing_may_be_fetched_or_run(make_run: MakeRun, report) -> None:
    some_runs(make_run)
    page, content = report()
    assert all(source.startswith("data:image/") for source in page.sources())
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "a"}
        assert not {"href", "srcset"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in content
    assert "@import" not in content
    policies = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_every_picture_has_a_text_alternative_and_every_column_a_header(make_run: MakeRun, report) -> None:
    some_runs(make_run)
    page, _ = report()
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert all(attributes.get("scope") == "col" for tag, attributes in page.tags if tag == "th")
    assert all(attributes.get("data-name") for tag, attributes in page.tags if tag == "td")
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
    assert "<script" not in content
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
