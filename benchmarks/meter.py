"""Time the meter, its floor (the shortest possible time) and other libraries, interleaved in one run.

Usage: python benchmarks/meter.py [--rounds N] [--only TITLE] [--quick] [--docs] [--out DIRECTORY]

Prints a table and writes meter.json and meter.png. Exits with status 1 if anything was faster than its floor, because
then the floor and all ratios to it are wrong. docs/benchmarks.md explains what is timed and shows the results of a run.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import floor
import numpy as np
import peers
import report
import torch
from report import Bound, Result, Work
from timing import Candidate, interleaved

from core import _meter
from core.utils.meters import ClusteredMean, Meter

LEVELS = tuple(_meter.simd_levels())  # the levels of this processor, best first
ENGINES = (LEVELS[0], "python")


def new_meter(engine: str, pairs: Sequence[tuple[str, str]] = ()) -> Meter:
    """Return a meter on the Python engine, or on the C++ engine at a SIMD level."""
    os.environ["PYML_SIMD"] = LEVELS[0] if engine == "python" else engine
    return Meter(pairs=pairs, engine="python" if engine == "python" else "c++")


def name_of(engine: str) -> str:
    return "pyml, Python" if engine == "python" else f"pyml, C++ {engine}"


def ours(statement: str, engines: tuple[str, ...], **names: object) -> Iterator[Candidate]:
    for engine in engines:
        yield Candidate(name_of(engine), statement, {"meter": new_meter(engine), **names})


def call(title: str, statement: str, bound: Bound, **names: object) -> Work:
    """Return the work of a call with floats; the floor is an empty method with the same keywords."""
    empty = Candidate(report.FLOOR, statement, {"meter": floor.build().Floor(), **names})
    theirs = peers.one_float(0.3) if len(names) == 1 else ()
    return Work(title, 1, (empty, *ours(statement, ENGINES, **names), *theirs), {name_of(LEVELS[0]): bound})


def array(title: str, x: peers.Array, bounds: dict[str, Bound]) -> Work:
    """Return the work of an update with an array; the floor is the fastest plain sum of the array."""
    read = dataclasses.replace(floor.fastest_read(x), name=report.FLOOR)
    engines = (*LEVELS, "python") if x.size <= 1 << 20 else LEVELS  # the Python engine takes seconds for more
    candidates = (read, *ours("meter.update(loss=x)", engines, x=x), *peers.array(x))
    return Work(title, x.size, candidates, {name_of(level): bound for level, bound in bounds.items()})


def per_value(size: int, nanoseconds: float) -> dict[str, Bound]:
    """Return the bound for an array of ``size`` values at the AVX2 level, given in nanoseconds per value."""
    return {"avx2": Bound(size * nanoseconds * 1e-9, of_floor=False)}


def scalar(title: str, x: object, by_hand: str) -> Work:
    """Return the work of a call with one NumPy or PyTorch scalar, next to a conversion by hand."""
    candidates = [
        *ours("meter.update(loss=x)", ENGINES, x=x),
        Candidate("by hand", by_hand, {"meter": Meter(), "x": x}),
    ]
    for candidate in candidates:
        candidate.names["meter"].update(loss=1.0)
    bound = Bound(150e-9, of_floor=False) if isinstance(x, np.generic) else Bound(item_s(x) + 100e-9, of_floor=False)
    return Work(title, 1, tuple(candidates), {name_of(LEVELS[0]): bound})


def item_s(tensor: torch.Tensor) -> float:
    """Return the time that ``tensor.item()`` takes."""
    return interleaved([Candidate("item", "x.item()", {"x": tensor})], rounds=11, at_least_s=0.5).seconds["item"]


def items(title: str, x: list[object], bound_s: float) -> Work:
    """Return the work of a call with a list of numbers; ``bound_s`` is the bound per number, in seconds."""
    candidates = tuple(ours("meter.update(loss=x)", ENGINES, x=x))
    for candidate in candidates:
        candidate.names["meter"].update(loss=1.0)
    return Work(title, len(x), candidates, {name_of(LEVELS[0]): Bound(bound_s * len(x), of_floor=False)})


def read_out() -> Work:
    candidates = tuple(ours("meter.mean('loss'); meter.error('loss')", ENGINES))
    for candidate in candidates:
        candidate.names["meter"].update(loss=np.random.default_rng(1).normal(size=1000))
    bounds = {name_of(LEVELS[0]): Bound(12e-6, of_floor=False)}
    return Work("mean() and error() together", 1, (*candidates, *peers.read_out()), bounds)


def merge(count: int) -> Work:
    statement = "total = Meter(engine=engine)\nfor meter in meters: total.merge(meter)"
    candidates = []
    for engine in ENGINES:
        meters = [new_meter(engine) for _ in range(count)]
        for i, meter in enumerate(meters):
            meter.update(loss=[0.25 + i, 0.5, 1.0])
        names = {"Meter": Meter, "engine": meters[0].engine, "meters": meters}
        candidates.append(Candidate(name_of(engine), statement, names))
    bounds = {name_of(LEVELS[0]): Bound(25e-6, of_floor=False)}
    return Work(f"merge of {count} meters of one measure", 1, (*candidates, *peers.merge(count)), bounds)


def strided(title: str, x: peers.Array) -> Work:
    by_hand = Candidate("copy, then update", "meter.update(loss=x.copy())", {"meter": new_meter(LEVELS[0]), "x": x})
    return Work(title, x.size, (*ours("meter.update(loss=x)", ENGINES, x=x), by_hand), {})


def pair_array(title: str, size: int) -> Work:
    """Return the work of an update of a pair with two arrays, next to NumPy's inexact sums of the same products."""
    a, b = np.random.default_rng(2).normal(size=(2, size))
    candidates = []
    for engine in (*LEVELS, "python"):
        names = {"meter": new_meter(engine, pairs=[("a", "b")]), "x": a, "y": b}
        candidates.append(Candidate(name_of(engine), "meter.update(a=x, b=y)", names))
    by_hand = "x.sum(); y.sum(); x @ x; y @ y; x @ y; x.min(); x.max(); y.min(); y.max()"
    candidates.append(Candidate("numpy, inexact", by_hand, {"x": a, "y": b}))
    return Work(title, size, tuple(candidates), {})


def pair_read_out() -> Work:
    candidates = []
    for engine in ENGINES:
        meter = new_meter(engine, pairs=[("a", "b")])
        a, b = np.random.default_rng(3).normal(size=(2, 1000))
        meter.update(a=a, b=b)
        candidates.append(Candidate(name_of(engine), "meter.ratio('a', 'b')", {"meter": meter}))
    return Work("ratio() of a pair with its error", 1, tuple(candidates), {})


def clustered(count: int) -> Work:
    """Return the work of adding values with the ids of their clusters, ten values each."""
    values, ids = np.random.default_rng(4).normal(size=count), np.arange(count) % (count // 10)
    names = {"ClusteredMean": ClusteredMean, "x": values, "ids": ids}
    statement = "means = ClusteredMean(); means.update(x, ids)"
    candidates = (
        Candidate("pyml, ClusteredMean", statement, names),
        Candidate("numpy, inexact", "numpy.bincount(ids, weights=x); numpy.bincount(ids)", {**names, "numpy": np}),
    )
    return Work(f"{count:,} values of {count // 10:,} clusters", count, candidates, {})


def works(millions: int) -> Iterator[Work]:
    """Yield each work to be timed; one at a time, because the arrays are large."""
    random = np.random.default_rng(0)
    yield call("update(loss=x), one float", "meter.update(loss=x)", Bound(2.0), x=0.3)
    four = dict(zip("abcd", (0.3, 1.7, 0.25, 12.0), strict=True))
    yield call("four floats in one call", "meter.update(a=a, b=b, c=c, d=d)", Bound(2.5), **four)
    normal = random.normal(size=millions << 20)
    yield scalar("update(loss=x), a 0-d CPU tensor", torch.tensor(0.3), "meter.update(loss=x.item())")
    yield scalar("update(loss=x), numpy.float32", np.float32(0.3), "meter.update(loss=float(x))")
    yield items("list of 1,000 floats", [0.001 * i for i in range(1000)], 10e-9)
    yield items("list of 1,000 numpy.float32", [*np.linspace(0, 1, 1000, dtype=np.float32)], 60e-9)
    in_memory = {"avx512": Bound(1.4, 1.15), "avx2": Bound(1.25), "baseline": Bound(5.0)}
    yield array(f"float64 array of {millions} million", normal, in_memory)
    yield array("float64 array of 1 million", normal[: 1 << 20].copy(), per_value(1 << 20, 0.5))
    yield array("float64 array of 65,536", normal[: 1 << 16].copy(), per_value(1 << 16, 0.5))
    in_l1 = {LEVELS[0]: Bound(500e-9, 450e-9, of_floor=False)}
    yield array("float64 array of 1,024", normal[:1024].copy(), in_l1)
    single = normal.astype(np.float32)
    yield array(f"float32 array of {millions} million", single, {"avx512": Bound(1.6, 1.25), "avx2": Bound(1.25)})
    yield array("float32 array of 1 million", single[: 1 << 20].copy(), per_value(1 << 20, 0.3))
    wide = random.normal(size=1 << 20) * 10.0 ** random.uniform(-150, 150, size=1 << 20)
    bound = Bound(15e-9 * wide.size, 6e-9 * wide.size, of_floor=False)
    yield array("float64 spread over 1e-150..1e150, 1 million", wide, {LEVELS[0]: bound})
    heavy_tailed = random.standard_cauchy(size=1 << 20)
    yield array("float64 of a Cauchy distribution, 1 million", heavy_tailed, {})
    yield strided("strided float64 array of 1 million", np.repeat(normal[: 1 << 20], 2)[::2])
    yield pair_array("pair of float64 arrays of 1 million", 1 << 20)
    yield pair_read_out()
    yield clustered(1000)
    yield read_out()
    yield merge(64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11, help="rounds of each work (default: 11)")
    parser.add_argument("--only", default="", help="run only the works whose title contains this text")
    parser.add_argument(
        "--quick", action="store_true", help="a quick check: 1 million values instead of 16 million, and 3 rounds"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/benchmarks"), help="directory for meter.json and meter.png"
    )
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/benchmarks.md")
    options = parser.parse_args()
    results = []
    tables = []
    for work in works(1 if options.quick else 16):
        if options.only not in work.title:
            continue
        times = interleaved(work.candidates, 3 if options.quick else options.rounds)
        results.append(Result(work.title, work.size, times, work.bounds))
        tables.append(report.table(results[-1]))
        print(tables[-1], flush=True)
    verdicts = report.verdicts(results)
    print(verdicts)
    if options.docs:
        report.write_docs("\n".join([verdicts, *tables]))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "meter.json").write_text(report.as_json(results))
    report.plot(results, options.out / "meter.png")
    print(f"written: {options.out / 'meter.json'}, {options.out / 'meter.png'}")
    if faults := report.false_floors(results):
        sys.exit("\n".join(["A floor is wrong: something was faster than it.", *faults]))


if __name__ == "__main__":
    main()
