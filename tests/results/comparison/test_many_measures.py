"""The text of a comparison of many measures: one table and a few sentences; times in their own units."""

from pathlib import Path

import numpy as np
import pytest
from made_runs import Invoke
from scipy import stats
from written_runs import measure, record, write_run

WORDS = ("compare", "model=mlp", "model=unet")
N = 4


def write(experiments: Path, values: dict[str, np.ndarray]) -> None:
    """Write two groups of N seeds; ``values`` holds an array of shape (2, N) by the name of the measure."""
    for i, model in enumerate(("mlp", "unet")):
        for seed in range(N):
            lines = [record(float(of[i, seed]), measure(name), error=None, n=None) for name, of in values.items()]
            write_run(experiments, 10 * i + seed, lines, model=model, seed=seed)


@pytest.fixture
def eighteen(experiments: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(6)
    values = {f"m{i}": rng.normal(size=(2, N)) for i in range(18)}
    write(experiments, values)
    return values


@pytest.mark.usefixtures("eighteen")
def test_eighteen_open_answers_are_one_table_and_one_sentence(invoke: Invoke) -> None:
    code, out, _ = invoke(*WORDS)
    assert code == 0
    table, _, below = out.partition("\n\n")[2].partition("\n\n")
    rows = table.splitlines()[2:]
    assert len(rows) == 18
    assert all("cannot tell" in row for row in rows)
    assert below.count("cannot tell") == 1
    assert below.startswith("All 18 measures: cannot tell.\n")
    assert "All 18 measures: paired over seeds, 4 pairs." in below
    assert len(below.splitlines()) < 12


@pytest.mark.usefixtures("eighteen")
def test_pairing_of_many_measures_is_one_sentence(invoke: Invoke, eighteen: dict[str, np.ndarray]) -> None:
    r = [float(np.corrcoef(one)[0, 1]) for one in eighteen.values()]
    (line,) = [line for line in invoke(*WORDS)[1].splitlines() if line.startswith("Pairing:")]
    assert f"partners correlate with r from {min(r):+.2f} to {max(r):+.2f};" in line
    counted = dict(reversed(part.split(" ", 1)) for part in line.partition("intervals: ")[2].rstrip(".").split(", "))
    ratios = []
    for a, b in eighteen.values():
        alpha = 0.05 / 18
        welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(1 - alpha)
        paired = stats.ttest_rel(a, b).confidence_interval(1 - alpha)
        ratios.append((welch.high - welch.low) / (paired.high - paired.low))
    assert int(counted["wider"]) == sum(ratio <= 1 / 1.1 for ratio in ratios)
    assert int(counted["narrower"]) == sum(ratio >= 1.1 for ratio in ratios)


def test_the_verdict_names_the_few_and_counts_the_many(experiments: Path, invoke: Invoke) -> None:
    rng = np.random.default_rng(4)
    values = {f"m{i}": rng.normal(size=(2, N)) for i in range(6)}
    values["m2"] = np.array([rng.normal(0, 1e-3, N), rng.normal(9, 1e-3, N)])  # lower is better
    write(experiments, values)
    assert "\nm2: A is better. m0, m1, m3 and 2 more: cannot tell.\n" in invoke(*WORDS)[1]


def test_two_measures_are_named(experiments: Path, invoke: Invoke) -> None:
    rng = np.random.default_rng(5)
    write(experiments, {"a": rng.normal(size=(2, N)), "b": rng.normal(size=(2, N))})
    out = invoke(*WORDS)[1]
    assert "\na, b: cannot tell.\n" in out
    assert "a, b: paired over seeds, 4 pairs." in out


def test_all_numbers_of_a_time_have_one_unit(experiments: Path, invoke: Invoke) -> None:
    a, b = np.array([3600.0, 3720.0, 3540.0, 3660.0]), np.array([3300.0, 3480.0, 3180.0, 3120.0])
    write(experiments, {"time/train": np.array([a, b])})
    found = stats.ttest_rel(a, b).confidence_interval()
    code, out, _ = invoke(*WORDS, "--metric", "time/train", "--detect", "60")
    assert code == 0
    (row,) = [line for line in out.splitlines() if line.startswith("time/train  ")]
    half = stats.t.ppf(0.975, 3) * a.std(ddof=1) / 2 / 60
    assert f"({a.mean() / 60:.1f} ± {half:.1f}) min" in row
    assert f"{np.mean(a - b) / 60:+.1f} min [{found.low / 60:+.1f}, {found.high / 60:+.1f}]" in row
    assert "to detect 1 min with 80% power" in out


def test_tables_lists_and_claims_print_times_in_their_unit(experiments: Path, invoke: Invoke) -> None:
    lines = [record(0.00231, measure("time/sample"), error=0.00004, n=9)]
    write_run(experiments, 0, lines, model="mlp", seed=0)
    assert "(2.310 ± 0.040) ms" in invoke("runs", "--metric", "time/*")[1]
    table = invoke("table", "--metric", "time/*")[1]
    assert "2.310 ms ± unknown  0.040 ms" in table
    out = invoke("claim", "latest", "--metric", "time/sample", "--below", "0.003")[1]
    assert "time/sample below 3 ms: shown." in out
    bound = 2.31 + stats.t.ppf(0.95, 8) * 0.04
    assert f"the mean is at most {bound:.3f} ms" in out
