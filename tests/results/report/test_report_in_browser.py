"""The report in headless Chromium: on a phone, on a desk and in print.

Part of the plain test run only where Chromium is installed; with PYML_REQUIRE_CHROMIUM=1 its absence is a failure.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path

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
    assert counts.get((0, 114, 178), 0) > 200  # the first curve
