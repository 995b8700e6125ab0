"""Plots: what is drawn is what was measured, and the plot says what it shows."""

import io
from pathlib import Path

import numpy as np
import pytest
from made_runs import ACCURACY, LOSS, Invoke, MakeRun, log_curve
from PIL import Image

from core.config import ConfigError
from core.utils.results import ResultMetadata
from results.database import ResultsDatabase
from results.groups import Group, group_runs
from results.plots.curves import plot_curves
from results.plots.figure import plain
from results.plots.line_styles import styles
from results.plots.points import plot_field, plot_steps
from results.plots.samples import grids_of, newest_grid, plot_samples

FRECHET = [ResultMetadata("frechet", n_steps=k, protocol={"n": 500}, higher_is_better=False) for k in (5, 18, 50)]


def groups(experiments: Path) -> list[Group]:
    return group_runs(ResultsDatabase(experiments))


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def caption(figure) -> str:
    return figure.texts[0].get_text().replace("\n", " ")


def save_picture(run_path: Path, name: str, size: tuple[int, int] = (30, 12)) -> None:
    (run_path / "samples").mkdir(exist_ok=True)
    Image.new("RGB", size, (200, 100, 50)).save(run_path / "samples" / name)


@pytest.fixture
def three_seeds(make_run: MakeRun) -> None:
    for rate, shift in ((0.1, 0.0), (0.001, 0.5)):
        for seed in range(3):
            results = {LOSS: shift + 0.1 * seed, ACCURACY: 0.9, **dict.fromkeys(FRECHET, shift + 0.01 * seed)}
            path = make_run(results, learning_rate=rate, seed=seed)
            log_curve(path, {10: 3.0 + shift + seed, 20: 2.0 + shift + 0.5 * seed})
            save_picture(path, "eval-0001.png")


@pytest.mark.usefixtures("three_seeds")
def test_curves_show_the_mean_over_runs_with_its_band(experiments: Path) -> None:
    figure = plot_curves(groups(experiments))
    (panel,) = figure.axes
    first, second = (line for line in panel.lines if line.get_linewidth() > 1)
    assert list(first.get_xdata()) == [10, 20]
    assert list(first.get_ydata()) == pytest.approx([4.0, 2.5])
    assert list(second.get_ydata()) == pytest.approx([4.5, 3.0])
    band = panel.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(4.0 + 4.30265 / np.sqrt(3), abs=1e-4)  # sd 1 at step 10; t(0.975, 2)
    assert panel.get_xlabel() == "training step"
    assert panel.get_ylabel() == "loss\nmean since the previous point"
    assert legend(figure) == ["learning_rate=0.1 (n = 3 runs)", "learning_rate=0.001 (n = 3 runs)"]
    assert "Band: 95% Student's t interval over runs" in caption(figure)


@pytest.mark.usefixtures("three_seeds")
def test_points_show_the_mean_over_runs_with_t_intervals_along_a_field(experiments: Path) -> None:
    figure = plot_field(groups(experiments), "learning_rate", {LOSS: "loss", ACCURACY: "accuracy"})
    loss, accuracy = figure.axes
    line, bars = loss.lines[0], loss.collections[0].get_segments()
    assert list(line.get_xdata()) == [0.001, 0.1]
    assert list(line.get_ydata()) == pytest.approx([0.6, 0.1])
    assert bars[0][1][1] - bars[0][0][1] == pytest.approx(2 * 4.30265 * 0.1 / np.sqrt(3), rel=1e-5)
    assert loss.get_xscale() == "log"
    assert [text.get_text() for text in loss.get_xticklabels()] == ["1e-3", "0.1"]
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("learning_rate", "loss (lower is better)")
    assert accuracy.get_ylabel() == "accuracy (higher is better)"
    assert legend(figure) == ["all runs (n = 3 runs per point)"]
    assert "Bar: 95% Student's t interval over runs" in caption(figure)


def test_groups_that_differ_in_more_are_lines_of_their_own_and_words_are_not_joined(
    make_run: MakeRun, experiments: Path
) -> None:
    for model in ("mlp", "unet"):
        for rate in (0.1, 0.2):
            make_run({LOSS: rate}, model=model, learning_rate=rate)
    by_model = plot_field(groups(experiments), "model", {LOSS: "loss"})
    assert legend(by_model) == ["learning_rate=0.1 (n = 1 run per point)", "learning_rate=0.2 (n = 1 run per point)"]
    assert [text.get_text() for text in by_model.axes[0].get_xticklabels()] == ["mlp", "unet"]
    assert by_model.axes[0].lines[0].get_linestyle() == "None"
    assert "Hollow: the error over runs is unknown" in caption(by_model)
    by_rate = plot_field(groups(experiments), "learning_rate", {LOSS: "loss"})
    assert by_rate.axes[0].lines[0].get_linestyle() == "-"


@pytest.mark.usefixtures("three_seeds")
def test_quality_is_shown_against_the_samplers_steps(experiments: Path) -> None:
    figure = plot_steps(groups(experiments), {about: f"frechet {about.n_steps}" for about in [*FRECHET, LOSS]})
    (panel,) = figure.axes
    assert list(panel.lines[0].get_xdata()) == [5, 18, 50]
    assert panel.get_xlabel() == "sampler steps"
    assert panel.get_ylabel() == "frechet (lower is better)"
    assert legend(figure)[0] == "learning_rate=0.1 (n = 3 runs per point)"


def test_a_long_label_breaks_before_its_direction(make_run: MakeRun, experiments: Path) -> None:
    about = ResultMetadata("denoising_loss/sigma_0.05_to_0.25", unit="image", higher_is_better=False)
    for rate in (1e-3, 1e-4):
        make_run({about: 0.5 + rate}, learning_rate=rate)
    figure = plot_field(group_runs(ResultsDatabase(experiments)), "learning_rate", {about: about.name})
    assert figure.axes[0].get_ylabel() == "denoising_loss/sigma_0.05_to_0.25\n(lower is better)"


def test_measures_of_other_protocols_have_a_panel_of_their_own(make_run: MakeRun, experiments: Path) -> None:
    results = {ResultMetadata("f", n_steps=k, protocol={"n": n}): 0.1 for k in (5, 18) for n in (100, 500)}
    make_run(results)
    figure = plot_steps(groups(experiments), {about: str(about) for about in results})
    assert [panel.get_ylabel() for panel in figure.axes] == ["f (n=100)", "f (n=500)"]


def test_numbers_beyond_64_bits_are_drawn(make_run: MakeRun, experiments: Path) -> None:
    large = [ResultMetadata("frechet_distance", n_steps=n) for n in (5, 10**39)]
    for seed in range(2):
        make_run(dict.fromkeys(large, 1.0 + seed), seed=seed, batch_size=10**39)
        make_run(dict.fromkeys(large, 1.0 + seed), seed=seed, batch_size=10**38)
    for figure in (
        plot_steps(groups(experiments), {about: str(about) for about in large}),
        plot_field(groups(experiments), "batch_size", {large[0]: "frechet"}),
    ):
        figure.canvas.draw()
        assert max(figure.axes[0].get_xticks()) == 1e39


@pytest.mark.filterwarnings("ignore:constrained_layout not applied")
def test_a_text_of_any_length_is_cut_before_it_is_drawn(make_run: MakeRun, experiments: Path) -> None:
    about = ResultMetadata("x" * 100_000, n_steps=5)
    make_run({about: 1.0})
    figure = plot_steps(groups(experiments), {about: about.name})
    assert max(len(text) for axis in figure.axes for text in [axis.get_ylabel(), *legend(figure)]) < 5000
    assert plain("x" * 100_000) == "x" * 3999 + "…"


@pytest.mark.usefixtures("three_seeds")
def test_grids_of_samples_stand_side_by_side_with_group_and_seed(experiments: Path) -> None:
    figure = plot_samples(groups(experiments))
    titles = [panel.get_title() for panel in figure.axes]
    assert titles == ["learning_rate=0.1, seed 0", "learning_rate=0.001, seed 0"]
    assert figure.axes[0].images[0].get_array().shape == (12, 30, 3)
    assert len(plot_samples(groups(experiments), each_run=True).axes) == 6


def test_the_newest_grid_of_a_run_is_shown(make_run: MakeRun, experiments: Path) -> None:
    import os

    path = make_run()
    for i, name in enumerate(("b.png", "a.png")):
        save_picture(path, name)
        os.utime(path / "samples" / name, ns=(i, i))
    (run,) = ResultsDatabase(experiments)
    grid = newest_grid(run)
    assert grid is not None
    assert grid.name == "a.png"


@pytest.mark.usefixtures("three_seeds")
@pytest.mark.parametrize(
    ("arguments", "suffix"),
    [
        (("curves",), ".png"),
        (("curves", "loss", "--x", "epoch", "--log"), ".png"),
        (("curves", "--metric", "loss"), ".png"),
        (("field", "learning_rate", "--metric", "loss"), ".png"),
        (("steps",), ".png"),
        (("samples",), ".png"),
        (("curves",), ".svg"),  # one of lines and one of pictures: all plots are written by one function
        (("samples",), ".svg"),
        (("curves",), ".pdf"),
        (("samples",), ".pdf"),
    ],
)
def test_every_plot_is_written_in_every_format_with_what_made_it(
    invoke: Invoke, tmp_path: Path, arguments: tuple[str, ...], suffix: str
) -> None:
    file = tmp_path / f"plot{suffix}"
    code, out, err = invoke("plot", *arguments, "-o", file)
    assert (code, out, err) == (0, f"Written: {file}\n", "")
    content = file.read_bytes()
    if suffix == ".png":
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.format == "PNG"
            assert "Made by:" in picture.info["Description"]
            assert len(np.unique(np.asarray(picture.convert("L")))) > 2
    elif suffix == ".svg":
        assert b"<svg" in content
        assert b"Made by:" in content
    else:
        assert content.startswith(b"%PDF")


def test_names_with_markup_are_drawn_as_they_stand(make_run: MakeRun, invoke: Invoke, tmp_path: Path) -> None:
    nasty = "$\\frac{x$ <b>&amp;\n_"
    for dataset in (nasty, "_hidden", "digits"):
        make_run({ResultMetadata(nasty): 0.5}, dataset=dataset)
    code, _, _ = invoke("plot", "field", "dataset", "--metric", "*", "-o", tmp_path / "plot.svg")
    assert code == 0
    assert "&lt;b&gt;" in (tmp_path / "plot.svg").read_text()
    assert plain("_x") == " _x"


@pytest.mark.usefixtures("three_seeds")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("curvs",), "unknown plot 'curvs'. Did you mean 'curves'?"),
        (("curves", "los"), "unknown measure of the training curves 'los'. Did you mean 'loss'?"),
        (("curves", "--metric", "los"), "unknown measure of the training curves 'los'. Did you mean 'loss'?"),
        (("field", "learning_rat"), "unknown config field 'learning_rat'. Did you mean 'learning_rate'?"),
        (("field", "seed"), "cannot plot against seed: the mean and its error are taken over seeds"),
        (("field", "learning_rate", "--metric", "los"), "Did you mean 'loss'?"),
        (("steps", "--metric", "loss"), "no measure has a number of sampler steps"),
        (("curves", "-o", "x.jpeg"), "got the suffix '.jpeg'; accepted: .png, .svg, .pdf"),
        (("curves", "-o", "/nowhere/x.png"), "/nowhere/x.png: cannot be written"),
        (("curves", "--level", "2"), "--level: got 2"),
    ],
)
def test_wrong_usage_exits_2_with_one_message(invoke: Invoke, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = invoke("plot", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_nothing_to_plot_is_said(make_run: MakeRun, invoke: Invoke) -> None:
    make_run(state="failed")
    assert "no run has finished" in invoke("plot", "curves")[2]
    path = make_run()
    assert "no finished run has a training curve" in invoke("plot", "curves")[2]
    assert "no finished run has sample images" in invoke("plot", "samples")[2]
    (path / "samples").mkdir()
    (path / "samples" / "torn.png").write_bytes(b"\x89PNG torn")
    assert "torn.png: cannot be read as an image" in invoke("plot", "samples")[2]


def test_more_lines_than_a_reader_can_tell_apart_are_refused() -> None:
    assert len({(style["color"], style["linestyle"]) for style in styles(20)}) == 20
    with pytest.raises(ConfigError, match="cannot plot 21 groups; at most 20 lines"):
        styles(21)


def test_the_first_grid_is_that_of_the_smallest_seed_counted_as_a_number(make_run: MakeRun, experiments: Path) -> None:
    for seed in (10, 2, 33):
        save_picture(make_run({LOSS: 0.1}, seed=seed), "eval-0001.png")
    titles = [title for title, _ in grids_of(groups(experiments), each_run=True)]
    assert titles == ["mlp, seed 2", "mlp, seed 10", "mlp, seed 33"]
    assert [title for title, _ in grids_of(groups(experiments))] == ["mlp, seed 2"]
