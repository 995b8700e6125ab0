"""Nothing of a plot is cut off or overlaps, whatever the groups, names and sizes are."""

import itertools
import math
import re
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import floats, lists
from made_runs import LOSS, Invoke, MakeRun, log_curve, set_status
from written_runs import record, write_run

from core.config import ConfigError, ModelConfig
from core.plugins import with_own_fields
from core.utils.results import ResultMetadata
from results.database import ResultsDatabase
from results.groups import Group, group_runs
from results.plots.curves import CurveOptions, plot_curves, smoothed
from results.plots.end_labels import end_labels, spread
from results.plots.look import Look, parse_size
from results.plots.points import plot_field, plot_steps
from results.plots.room import text_width, wrapped
from results.plots.ticks import short_number

LONG = ResultMetadata("a_measure_with_a_long_name/at_some_level", protocol={"split": "held_out"})
STEPS = [ResultMetadata("frechet_distance", n_steps=k, higher_is_better=False) for k in (9, 18)]


def groups(experiments: Path) -> list[Group]:
    return group_runs(ResultsDatabase(experiments))


def check_nothing_is_cut_off(figure) -> None:
    """Every visible text lies inside the figure; legend, caption and panels do not overlap; nor do labels at lines."""
    renderer = figure.canvas.get_renderer()
    figure.draw_without_rendering()
    whole = figure.bbox.padded(1)
    texts = [text for panel in figure.axes for text in (panel.xaxis.label, panel.yaxis.label, panel.title)]
    for panel in figure.axes:
        ticks = [*panel.get_xticklabels(), *panel.get_yticklabels()]
        x0, x1, y0, y1 = *sorted(panel.get_xlim()), *sorted(panel.get_ylim())
        texts += [t for t in panel.get_xticklabels() if x0 <= t.get_position()[0] <= x1]
        texts += [t for t in panel.get_yticklabels() if y0 <= t.get_position()[1] <= y1]
        texts += [text for text in panel.texts if text.get_visible()]
        assert ticks
        boxes = [text.get_window_extent(renderer) for text in end_labels(panel) if text.get_visible()]
        # a label of an annotation includes its stroke; compare the texts by their centres
        heights = sorted(text.get_position()[1] * panel.bbox.height for text in end_labels(panel) if text.get_visible())
        assert len(boxes) == len(heights)
        assert all(b - a > 7.5 * figure.dpi / 72 for a, b in itertools.pairwise(heights))
        names = [t.get_window_extent(renderer) for t in panel.get_xticklabels() if t.get_text()]
        turned = panel.get_xticklabels()[0].get_rotation() != 0
        assert turned or not any(a.x1 > b.x0 for a, b in itertools.pairwise(names))
    texts += [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for text in texts:
        if text.get_text().strip():
            box = text.get_window_extent(renderer)
            assert whole.x0 <= box.x0, text
            assert box.x1 <= whole.x1, text
            assert whole.y0 <= box.y0, text
            assert box.y1 <= whole.y1, text
    below = [one.get_window_extent(renderer) for one in [*figure.texts, *figure.legends]]
    panels = [panel.get_tightbbox(renderer) for panel in figure.axes]
    assert not any(a.y1 > b.y0 + 1 for a, b in itertools.pairwise(below))  # the caption is below the legend
    assert not any(one.overlaps(panel) for one in below for panel in panels)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(panels, 2))


@pytest.fixture
def mlp_and_unet(make_run: MakeRun) -> None:
    for name, shift in (("mlp", 0.5), ("unet", 0.0)):
        cls = type(with_own_fields(ModelConfig(model=name)))
        for seed in range(3):
            results = {LOSS: shift + 0.1 * seed, LONG: 0.5, **dict.fromkeys(STEPS, shift + seed)}
            path = make_run(results, config=cls(model=name, seed=seed))
            log_curve(path, {k: 3.0 + shift + seed / k for k in (10, 20, 40)})


@pytest.fixture
def twenty(make_run: MakeRun) -> None:
    for i in range(20):
        for seed in range(2):
            results = {LOSS: 0.1 * i, **dict.fromkeys(STEPS, 0.5 + 0.01 * seed)}
            path = make_run(results, seed=seed, learning_rate=10.0 ** -(i % 5), batch_size=2 ** (i // 5))
            log_curve(path, {k: 1.0 + 0.001 * i + seed / k for k in (10, 20, 40)})


def plots(of: list[Group], look: Look = Look()) -> list:  # noqa: B008 - frozen
    curves = [plot_curves(of, options=CurveOptions(log=log, look=look)) for log in (False, True)]
    measures = {LOSS: "loss", LONG: "a_measure_with_a_long_name/at_some_level (split=held_out, unit=image)"}
    by_field = [plot_field(of, field, measures, look=look) for field in ("model", "learning_rate")]
    return [*curves, *by_field, plot_steps(of, {one: str(one.n_steps) for one in STEPS}, look=look)]


@pytest.mark.usefixtures("mlp_and_unet")
def test_mlp_against_unet_at_default_configs_is_cut_off_nowhere(experiments: Path) -> None:
    for figure in plots(groups(experiments)):
        check_nothing_is_cut_off(figure)
    figure = plot_curves(groups(experiments))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mlp (n = 3 runs)", "unet (n = 3 runs)"]
    assert [text.get_text() for text in end_labels(figure.axes[0])] == ["mlp", "unet"]
    assert "The groups also differ in embedding_size" in figure.texts[0].get_text().replace("\n", " ")


@pytest.mark.usefixtures("twenty")
def test_twenty_groups_are_told_apart_and_cut_off_nowhere(experiments: Path) -> None:
    of = groups(experiments)
    figure, *others = plots(of)
    for each in others:
        check_nothing_is_cut_off(each)
    assert [text.get_text() for text in end_labels(figure.axes[0])][::19] == ["A", "T"]
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries[0] == "A: batch_size=1, learning_rate=1"
    assert "Each line: n = 2 runs." in figure.texts[0].get_text().replace("\n", " ")
    check_nothing_is_cut_off(plot_curves(of, options=CurveOptions(look=Look(size=(9, 8)))))


def test_one_run_and_names_that_are_very_long_or_strange_are_cut_off_nowhere(
    make_run: MakeRun, experiments: Path
) -> None:
    path = make_run({LOSS: 0.5, LONG: 1.0, **dict.fromkeys(STEPS, 0.5)}, dataset="W" * 300)
    log_curve(path, {10: 3.0, 20: math.nan})
    for figure in plots(groups(experiments)):
        check_nothing_is_cut_off(figure)
    for name in ("$\\frac{x$ \x1b[2J", "W" * 299, "a b " * 80, "数据集" * 30):
        log_curve(make_run({LOSS: 0.5, LONG: 1.0, **dict.fromkeys(STEPS, 0.5)}, dataset=name), {10: 3.0, 20: 1.0})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        for figure in [*plots(groups(experiments)), plot_field(groups(experiments), "dataset", {LOSS: "loss"})]:
            check_nothing_is_cut_off(figure)


@pytest.mark.usefixtures("mlp_and_unet")
def test_single_runs_are_thin_lines_and_smoothing_changes_only_the_mean(experiments: Path) -> None:
    of = groups(experiments)
    panel = plot_curves(of, options=CurveOptions(smooth=3)).axes[0]
    thick = [line for line in panel.lines if line.get_linewidth() > 1]
    thin = [line for line in panel.lines if line.get_linewidth() <= 1]
    assert len(thick) == 2
    assert [list(line.get_ydata()) for line in thin[:3]] == [
        [3.5 + seed / k for k in (10, 20, 40)] for seed in range(3)
    ]
    means = [3.5 + 1 / k for k in (10, 20, 40)]
    assert list(thick[0].get_ydata()) == pytest.approx([means[0], sum(means) / 3, means[2]])
    assert len(plot_curves(of, options=CurveOptions(seeds=False)).axes[0].lines) == 2
    text = plot_curves(of, options=CurveOptions(smooth=3)).texts[0].get_text().replace("\n", " ")
    assert "moving average over 3 points (centred)" in text
    assert "only this line is smoothed" in text
    assert "Thin lines: single runs." in text


def test_a_straight_line_stays_straight_when_it_is_smoothed() -> None:
    assert smoothed([0.0, 2.0, 4.0, 6.0, 8.0], 5) == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert smoothed([1.0, 5.0, 3.0], 3) == [1.0, 3.0, 3.0]
    found = smoothed([1.0, 2.0, math.nan, 4.0, 6.0], 3)
    assert found[:2] == [1.0, 1.5]
    assert math.isnan(found[2])
    assert found[3:] == [5.0, 6.0]


def test_the_caption_says_that_a_seed_ends_in_nan_and_that_runs_failed(make_run: MakeRun, experiments: Path) -> None:
    log_curve(make_run({LOSS: 0.5}, seed=0), {1000: 3.0, 2000: 2.0})
    log_curve(make_run({LOSS: 0.5}, seed=1), {1000: 3.0, 2000: math.nan, 3000: math.nan})
    set_status(make_run(seed=2), state="failed", reason="TrainingDivergedError")
    text = plot_curves(groups(experiments)).texts[0].get_text().replace("\n", " ")
    assert "mlp: loss ends in NaN or infinity for seed 1 (from step 2,000); so does the mean." in text
    assert "Not drawn: 1 failed run of mlp." in text


@given(lists(floats(0, 1), min_size=1, max_size=20))
def test_labels_are_spread_within_the_panel_and_keep_their_order(wanted: list[float]) -> None:
    found = spread(wanted, 0.045, (0.025, 0.975))
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    assert all(found[b] - found[a] >= 0.045 - 1e-9 for a, b in itertools.pairwise(order))
    assert all(0.025 - 1e-9 <= place <= 0.975 + 1e-9 for place in found)


def test_labels_with_room_stay_at_their_lines_and_too_many_are_left_out() -> None:
    assert spread([0.8, 0.2], 0.1, (0, 1)) == pytest.approx([0.8, 0.2])
    assert spread([0.5, 0.5], 0.1, (0, 1)) == pytest.approx([0.45, 0.55])
    assert spread([0.5] * 4, 0.5, (0, 1)) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-3, "1e-3"), (3e-4, "3e-4"), (0.03, "0.03"), (1.0, "1"), (300.0, "300"), (2e6, "2e6"), (0.0, "0")],
)
def test_ticks_are_short_numbers(value: float, text: str) -> None:
    assert short_number(value) == text


@pytest.mark.parametrize("decades", [0.3, 1, 2, 3, 5, 9])
def test_log_ticks_are_few_and_round(make_run: MakeRun, experiments: Path, decades: float) -> None:
    log_curve(make_run({LOSS: 0.5}), {k: 10 ** (-decades * k / 100) for k in range(0, 101, 10)})
    panel = plot_curves(groups(experiments), options=CurveOptions(log=True)).axes[0]
    low, high = panel.get_ylim()
    major = [tick for tick in panel.get_yticks() if low <= tick <= high]
    assert 2 <= len(major) <= 10
    assert all(len(short_number(tick)) <= 5 for tick in major)
    assert [text.get_text() for text in panel.get_yticklabels(minor=True) if text.get_text()] == []


def test_lines_of_text_are_as_wide_as_they_may_be() -> None:
    for text in ("word " * 100, "W" * 300, "ill " * 200):
        lines = wrapped(text, 4.0, 8.0).split("\n")
        assert max(text_width(line, 8.0) for line in lines) <= 4.0
        assert text_width(lines[0], 8.0) > 2.5
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("text", ["7", "7,x", "0,5", "7,-1", "7,nan", "1e9,2", "7,4,2"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--size: got .*accepted: width and height in inches, each 2 to 50"):
        parse_size(text)


@pytest.mark.usefixtures("mlp_and_unet")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", "2,2"), "--size 2,2: too small for 1 panel, the legend and the caption. Try: --size"),
        (("--size", "big"), "--size: got 'big'; accepted: width and height in inches"),
        (("--style", "ggplott"), "unknown style 'ggplott'. Did you mean 'ggplot'?"),
        (("--style", "https://example.org/x.mplstyle"), "unknown style 'https://example.org/x.mplstyle'"),
        (("--smooth", "0"), "--smooth: got 0; accepted: an odd number of points, such as 9"),
        (("--smooth", "4"), "--smooth: got 4; accepted: an odd number"),
        (("--split-by", "devise"), "Did you mean 'device'?"),
    ],
)
def test_wrong_sizes_styles_and_windows_are_answered(
    invoke: Invoke, arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    code, out, err = invoke("plot", "curves", "-o", tmp_path / "plot.png", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "plot.png").exists()


@pytest.mark.usefixtures("mlp_and_unet")
def test_size_and_style_are_used(invoke: Invoke, tmp_path: Path) -> None:
    from PIL import Image

    code, _, _ = invoke("plot", "curves", "-o", tmp_path / "a.png", "--size", "6,5", "--style", "dark_background")
    assert code == 0
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (900, 750)  # 150 dots per inch
        assert picture.convert("RGB").getpixel((899, 0)) == (0, 0, 0)


def test_mixed_environments_are_said_in_the_caption_refused_or_split(
    make_run: MakeRun, invoke: Invoke, tmp_path: Path
) -> None:
    import json

    for seed, device in enumerate(("cpu", "cpu", "cuda")):
        path = make_run({LOSS: 0.5}, seed=seed)
        log_curve(path, {10: 3.0, 20: 1.0})
        (path / "environment.json").write_text(json.dumps({"schema": "pyml.environment/1", "device": device}))
    file = tmp_path / "plot.svg"
    code, _, err = invoke("plot", "curves", "-o", file)
    assert code == 0
    assert "Mixed: device cpu (2 runs), cuda (1 run). Separate them with --split-by FIELD" in err
    assert "Mixed: device cpu (2 runs), cuda (1 run)." in file.read_text()
    assert "--strict: the runs differ: device" in invoke("plot", "curves", "-o", file, "--strict")[2]
    code, _, err = invoke("plot", "curves", "-o", file, "--split-by", "device", "--strict")
    assert (code, err) == (0, "")
    assert "device=cuda" in file.read_text()


def test_what_a_plot_of_results_leaves_out_is_said_in_its_caption(
    experiments: Path, invoke: Invoke, tmp_path: Path
) -> None:
    for number, (rate, seed) in enumerate(itertools.product((0.1, 0.2, 0.3, 0.4), (0, 1))):
        line = record(rate, source={"step": 10})
        line["result"]["mean"] = None if (rate, seed) == (0.3, 1) else rate + 0.01 * seed
        step, state = 20 if (rate, seed) == (0.2, 1) else 10, "failed" if rate == 0.4 else "finished"
        write_run(experiments, number, [line], step=step, state=state, rate=rate, seed=seed)
    assert invoke("archive", sorted(path.name for path in experiments.iterdir())[0])[0] == 0
    file = tmp_path / "plot.svg"
    code, _, err = invoke("plot", "field", "rate", "-o", file)
    assert code == 0
    for line in ("1 archived run is left out", "1 run has stale results", "Evaluate again: pyml-eval "):
        assert line in err
    words = " ".join(re.sub("<[^>]*>", " ", file.read_text()).split())
    for sentence in (
        "Not drawn, since results are NaN or infinite: loss at rate 0.3 (1 of 2 runs).",
        "Not drawn, since no run finished: rate=0.4 (2 failed).",
        "1 run has stale results, which do not count.",
    ):
        assert sentence in words
