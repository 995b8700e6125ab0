"""What a notebook shows: runs and comparisons as HTML."""

from pathlib import Path
from xml.etree import ElementTree

from core.runs import Run
from results.comparison.comparison import compare_groups
from results.database import ResultsDatabase
from results.groups import group_runs
from results.run import Run as SavedRun


def cells(html: str) -> list[tuple[str | None, str | None]]:
    """Return the names and values of a table with two columns, as a browser reads them."""
    table = ElementTree.fromstring(f"<div>{html}</div>").find("table")
    assert table is not None
    return [(row[0].text, row[1].text) for row in table]


def test_a_run_is_shown_with_its_status_config_and_results(tmp_path: Path) -> None:
    run = Run({"model": "<b>", "optimizer": {"lr": 0.1}}, path=tmp_path / "run")
    assert cells(run._repr_html_()) == [("run", "not started yet")]
    run.start()
    run.log_result("accuracy", [0, 1], unit="image")
    assert ("status", "running") in cells(run._repr_html_())
    run.finish(ValueError("a < b"))
    for shown, lr in ((run, ("config.optimizer", "{'lr': 0.1}")), (SavedRun(run.path), ("config.optimizer.lr", "0.1"))):
        html = shown._repr_html_()
        about = [("run", "run"), ("status", "failed: ValueError: a < b"), ("config.model", "<b>"), lr]
        assert cells(html) == about
        results = ElementTree.fromstring(f"<div>{html}</div>").findall("table")[1]
        assert [cell.text for cell in results.iter("td")][:4] == ["accuracy", "0.50 ± 0.50", "2", "image"]


def test_a_comparison_is_shown_with_its_answer(tmp_path: Path) -> None:
    for width in (16, 32):
        for seed in range(3):
            with Run({"width": width, "seed": seed}, experiments_dir=tmp_path) as run:
                run.log_result("accuracy", width / 64 + 0.01 * (seed if width == 16 else 0), higher_is_better=True)
    groups = group_runs(ResultsDatabase(tmp_path).where())
    (comparison,), _ = compare_groups(groups)
    # the differences are -0.25, -0.24 and -0.23: mean -0.24, standard deviation 0.01, t(2) = 4.303
    half_width = 4.303 * 0.01 / 3**0.5
    assert cells(comparison._repr_html_()) == [
        ("measure", "accuracy"),
        ("A: width=16", f"0.260 ± {half_width:.3f}"),
        ("B: width=32", "0.5 ± unknown (all 3 runs are equal)"),
        ("A - B [95%]", f"-0.2400 [{-0.24 - half_width:.4f}, {-0.24 + half_width:.4f}]"),
        ("p", "0.00058"),
        ("answer", "B is better"),
    ]
