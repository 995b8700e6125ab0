"""The report in headless Chromium: on a phone, on a desk and in print.

Part of the plain test run only where Chromium is installed; with PYML_REQUIRE_CHROMIUM=1 its absence is a failure.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from made_runs import ACCURACY, LOSS, Invoke, MakeRun, log_curve
from PIL import Image

from core.utils.results import ResultMetadata, ScalarResult

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUIRED = os.environ.get("PYML_REQUIRE_CHROMIUM") == "1"
pytestmark = pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="Chromium is not installed")

FLAGS = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--allow-file-access-from-files",  # the frame around the report may look into it
]
# the report in a frame of the width of a device; what is measured goes into the document, which --dump-dom prints
FRAME = """<!DOCTYPE html><body style="margin:0"><iframe id="frame" src="report.html"
style="width:{width}px;height:900px;border:0"></iframe><pre id="found"></pre><script>
document.getElementById("frame").addEventListener("load", () => {{
  const page = document.getElementById("frame").contentDocument, root = page.documentElement;
  const outside = [...page.querySelectorAll("body *")].filter(e => !e.closest(".wide") || e.matches(".wide"))
    .filter(e => e.getBoundingClientRect().right > root.clientWidth + 1).map(e => e.outerHTML.slice(0, 80));
  const wide = [...page.querySelectorAll(".wide")].filter(e => e.scrollWidth > e.clientWidth + 1).length;
  const images = [...page.images].filter(i => !i.complete || i.naturalWidth === 0).length;
  const small = [...page.querySelectorAll("td, p, li, figcaption")].map(e => parseFloat(getComputedStyle(e).fontSize));
  document.getElementById("found").textContent = JSON.stringify({{
    page: root.scrollWidth, screen: root.clientWidth, outside, tables_to_scroll: wide, broken_images: images,
    smallest_text_px: Math.min(...small), headings: page.querySelectorAll("h1, h2").length}});
}});
</script></body>"""


@pytest.fixture
def chromium(tmp_path: Path) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        assert CHROMIUM, "PYML_REQUIRE_CHROMIUM=1, and there is no Chromium: apt-get install chromium"
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [CHROMIUM, *FLAGS, *sandbox, f"--user-data-dir={tmp_path / 'profile'}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    return run


@pytest.fixture
def report(make_run: MakeRun, invoke: Invoke, tmp_path: Path) -> Path:
    long = ResultMetadata("a_measure_with_a_long_name/at_some_level", protocol={"split": "held_out"})
    for rate in (0.001, 0.0001):
        for seed in range(3):
            frechet = {ResultMetadata("frechet", n_steps=k): 0.01 * seed + rate for k in (5, 18)}
            results = {LOSS: ScalarResult(rate + 0.01 * seed, 0.004, 100), ACCURACY: 0.5 + 0.1 * seed, long: 1.0}
            path = make_run({**results, **frechet}, learning_rate=rate, seed=seed)
            log_curve(path, {10: 3.0 + seed, 20: 2.0 + seed})
            (path / "samples").mkdir()
            Image.new("RGB", (490, 98), (10 * seed, 200, 3)).save(path / "samples" / "eval-0001.png")
    make_run(seed=7, state="failed", reason="TrainingDivergedError: " + "a_long_reason_without_a_space_" * 6)
    file = tmp_path / "report.html"
    assert invoke("report", "-o", file)[0] == 0
    return file


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_fits_every_width_without_scrolling_sideways(
    report: Path, chromium: Callable[..., str], width: int
) -> None:
    frame = report.with_name("frame.html")
    frame.write_text(FRAME.format(width=width))
    dom = chromium("--virtual-time-budget=10000", "--dump-dom", frame.as_uri())
    match = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert match
    found = json.loads(unescape(match[1]))
    assert found["screen"] == width
    assert found["page"] <= width
    assert found["outside"] == []
    assert found["broken_images"] == 0
    assert found["smallest_text_px"] >= 13
    assert found["headings"] >= 7
    if width == 360:
        assert found["tables_to_scroll"] == 0  # rows have become cards


# what the script does: sort by a column, search, and show the values below the pointer
USE = """<!DOCTYPE html><body><iframe id="frame" src="report.html" style="width:1000px;height:3000px;border:0"></iframe>
<pre id="found"></pre><script>
document.getElementById("frame").addEventListener("load", () => {
  const page = document.getElementById("frame").contentDocument, list = page.querySelector("table.list");
  const seeds = () => [...list.tBodies[0].rows].filter(row => !row.hidden).map(row => row.cells[2].textContent);
  const head = [...list.tHead.rows[0].cells].find(cell => cell.textContent === "seed");
  const before = seeds();
  head.click();
  const up = seeds();
  head.click();
  const down = seeds(), search = list.parentElement.previousElementSibling.querySelector("input");
  search.value = "failed";
  search.dispatchEvent(new Event("input"));
  const failed = seeds(), image = page.querySelector("figure.plot img"), area = image.getBoundingClientRect();
  image.dispatchEvent(new PointerEvent("pointermove",
    {clientX: area.left + area.width * 0.2, clientY: area.top + area.height / 2}));
  const tip = page.querySelector("figure.plot output");
  document.getElementById("found").textContent = JSON.stringify({before, up, down, failed, tip: tip.textContent,
    shown: !tip.hidden, background: getComputedStyle(page.body).backgroundColor});
});
</script></body>"""


def use(report: Path, chromium: Callable[..., str], *flags: str) -> dict[str, Any]:
    frame = report.with_name("use.html")
    frame.write_text(USE)
    dom = chromium("--virtual-time-budget=10000", "--dump-dom", *flags, frame.as_uri())
    match = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert match
    return json.loads(unescape(match[1]))


def test_tables_are_sorted_and_searched_and_the_pointer_shows_values(
    report: Path, chromium: Callable[..., str]
) -> None:
    found = use(report, chromium)
    assert found["before"] == ["7", "2", "1", "0", "2", "1", "0"]  # newest first
    assert found["up"] == ["0", "0", "1", "1", "2", "2", "7"]
    assert found["down"] == ["7", "2", "2", "1", "1", "0", "0"]
    assert found["failed"] == ["7"]
    assert found["shown"]
    # step 10: 3, 4, 5; half width 4.30265 × 1 / √3 = 2.484
    assert re.fullmatch(r"learning_rate=0.000?1, step 10: 4 \[1.516, 6.484\], n = 3 runs", found["tip"])
    assert found["background"] == "rgb(255, 255, 255)"


def test_the_page_is_dark_where_the_reader_prefers_it(report: Path, chromium: Callable[..., str]) -> None:
    assert use(report, chromium, "--blink-settings=preferredColorScheme=0")["background"] == "rgb(21, 21, 21)"


@pytest.mark.skipif(not REQUIRED, reason="takes half a minute; make browser-test runs it")
def test_a_page_about_1000_runs_is_small_and_prints_in_ten_pages(
    experiments: Path, invoke: Invoke, chromium: Callable[..., str], tmp_path: Path
) -> None:
    rates, sizes = [10.0**-i for i in range(10)], [2**i for i in range(10)]
    for i, (rate, size, seed) in enumerate(itertools.product(rates, sizes, range(10))):
        write_run(experiments / f"20260101T000000{i:06d}Z_{i:06x}", rate, size, seed)
    file = tmp_path / "report.html"
    assert invoke("report", "-o", file)[0] == 0
    assert file.stat().st_size < 2_000_000
    pdf = tmp_path / "report.pdf"
    chromium("--no-pdf-header-footer", f"--print-to-pdf={pdf}", file.as_uri())
    assert len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) <= 10


def write_run(path: Path, rate: float, size: int, seed: int) -> None:
    """Write a finished run as docs/run_directory.md describes it."""
    path.mkdir(parents=True)
    config = {"model": "mlp", "dataset": "digits", "seed": seed, "learning_rate": rate, "batch_size": size}
    (path / "config.json").write_text(json.dumps({"schema": "pyml.config/1", "config": config}))
    times = {"started_at": "2026-01-01T10:00:00+00:00", "finished_at": "2026-01-01T10:05:00+00:00"}
    status = {"schema": "pyml.status/1", "state": "finished", "step": 100, "n_steps_total": 100, **times}
    (path / "status.json").write_text(json.dumps(status))
    points = [
        {"step": k, "epoch": k, "measures": {name: {"mean": 1 / k + 0.01 * seed, "spread": 0.1, "n": 10}}}
        for name in ("loss",)
        for k in range(1, 101)
    ]
    lines = [json.dumps({"schema": "pyml.metrics/1", **point}) for point in points]
    (path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    records = []
    for name in ("loss", "accuracy", "frechet_distance", "precision"):
        metadata = {"name": name, "unit": "image", "protocol": {}, "higher_is_better": name == "accuracy"}
        result = {"mean": 0.1 * size**0.1 + 0.01 * seed, "error": 0.01, "n": 100, "n_nan": 0, "n_inf": 0}
        records.append(
            json.dumps({"schema": "pyml.result/1", "evaluation": None, "metadata": metadata, "result": result})
        )
    (path / "results.jsonl").write_text("\n".join(records) + "\n")


def test_the_page_prints_to_pages(report: Path, chromium: Callable[..., str]) -> None:
    pdf = report.with_suffix(".pdf")
    chromium("--no-pdf-header-footer", f"--print-to-pdf={pdf}", report.as_uri())
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 8


def test_the_page_is_drawn(report: Path, chromium: Callable[..., str]) -> None:
    picture = report.with_suffix(".png")
    chromium("--window-size=1000,1400", f"--screenshot={picture}", report.as_uri())
    with Image.open(picture) as drawn:
        colours = drawn.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    counts = {colour: n for n, colour in colours}
    assert counts[(255, 255, 255)] < 0.97 * 1000 * 1400  # something is on the page
    assert counts.get((0, 114, 178), 0) > 50  # the first curve
