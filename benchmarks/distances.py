"""Check the standard errors of the distances by repeated sampling: their coverage and their size.

Prints how often a distance lies within two standard errors of the truth, the mean standard error relative to the
observed spread, and the level and power of the test of memorisation.

python benchmarks/distances.py [--repeats 1000]
"""

from __future__ import annotations

import argparse

import numpy as np

from core.diffusion.distances.corrected import corrected
from core.diffusion.distances.frechet import Frechet
from core.diffusion.distances.kid import kid
from core.diffusion.distances.memorisation import memorisation_p_value
from core.diffusion.distances.precision_recall import precision_recall

N_GROUPS = 20
SPECTRA = {
    "flat": np.ones(32),
    "1/k": 1 / np.arange(1, 33),
    "0.8^k": 0.8 ** np.arange(32),
    "1/k^2": 1 / np.arange(1, 33) ** 2,
}


def groups(values: np.ndarray) -> np.ndarray:
    return np.arange(len(values)) % N_GROUPS


def line(name: str, truth: float, values: list[float], errors: list[float]) -> None:
    found, sizes = np.array(values), np.array(errors)
    spread = found.std(ddof=1)
    covered = np.mean(abs(found - truth) < 2 * sizes)
    print(
        f"{name:44} mean {found.mean():9.4f} +- {spread / len(found) ** 0.5:.4f}  "
        f"error / spread {sizes.mean() / spread:.3f}  within 2 errors of {truth:.4g}: {covered:.1%}",
        flush=True,
    )


def frechet(repeats: int, random: np.random.Generator) -> None:
    for name, spectrum in SPECTRA.items():
        raw, results = [], []
        for _ in range(repeats):
            x, y = (random.standard_normal((300, 32)) * np.sqrt(spectrum) for _ in range(2))
            pair = Frechet(x, y, groups(x), groups(y))
            raw.append(pair.value())
            results.append(corrected(pair))
        label = f"corrected Frechet, {name} (raw {np.mean(raw):.3f})"
        line(label, 0.0, [result.mean for result in results], [result.error for result in results])


def near(repeats: int, random: np.random.Generator) -> None:
    """Print the same where the true distance is a few errors: means that differ by a shift in one direction."""
    spreads = np.sqrt(SPECTRA["0.8^k"])
    for shift in (0.1, 0.2, 0.3, 0.5):
        results = []
        for _ in range(repeats):
            x, y = (random.standard_normal((300, 32)) * spreads for _ in range(2))
            x[:, 0] += shift
            results.append(corrected(Frechet(x, y, groups(x), groups(y))))
        label = f"corrected Frechet, 0.8^k, shift {shift}"
        line(label, shift**2, [result.mean for result in results], [result.error for result in results])


def kernel(repeats: int, random: np.random.Generator) -> None:
    for shift in (0.0, 0.5, 1.0):
        results = []
        for _ in range(repeats):
            x, y = random.standard_normal((200, 8)), random.standard_normal((150, 8))
            x[:, 0] += shift
            results.append(kid(x, y, np.arange(200), np.arange(150)))
        truth = float(np.mean([result.mean for result in results])) if shift else 0.0
        line(f"KID, shift {shift}", truth, [result.mean for result in results], [result.error for result in results])


def shares(repeats: int, random: np.random.Generator) -> None:
    found = []
    for _ in range(repeats):
        x, y = 0.8 * random.standard_normal((300, 8)), random.standard_normal((200, 8))
        found.append(precision_recall(x, y, groups(x), groups(y)))
    for name in ("precision", "recall"):
        results = [getattr(one, name) for one in found]
        truth = float(np.mean([result.mean for result in results]))
        line(name, truth, [result.mean for result in results], [result.error for result in results])


def memorisation(repeats: int, random: np.random.Generator) -> None:
    for n, m in ((120, 90), (500, 359)):
        fresh = [memorisation_p_value(random.random(n), random.random(m)) < 0.05 for _ in range(20 * repeats)]
        found = []
        for _ in range(repeats):
            samples = random.normal(10, 1, n)
            samples[: n // 10] = 0
            found.append(memorisation_p_value(samples, random.normal(10, 1, m)) < 0.05)
        print(f"memorisation, {n} samples, {m} held out: level {np.mean(fresh):.2%}, power at 10% {np.mean(found):.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    repeats = parser.parse_args().repeats
    for measure in (frechet, near, kernel, shares, memorisation):
        measure(repeats, np.random.default_rng(0))


if __name__ == "__main__":
    main()
