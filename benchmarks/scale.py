"""Cost of ``Meter.all_reduce``: bytes, calculated time on a given network, and a simulation of 100,000 processes.

The simulation makes the state of each process, adds the int64 digits that each would send, and checks that the result
equals the exact merge of all states. The calculated times are those of a binary tree: 2 log2(P) messages one after the
other; of few processes, those of a ring: P - 1 messages.

Usage: python benchmarks/scale.py [--docs]        --docs writes the figures into docs/scale.md
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.meter import reduce
from core.utils.meters import Meter

ROOT = Path(__file__).parents[1]
N_PROCESSES = 100_000
LATENCY_S, BYTES_PER_S = 5e-6, 12.5e9  # of one message and of one link: InfiniBand HDR100, 100 Gbit/s
AGREEMENT_BYTES = 40
FIRST_BYTES = AGREEMENT_BYTES + 8 * reduce._ROOM  # with the extremes, if there is room for them
MARK = re.compile(r"<!-- scale -->.*?(?=\n##|\Z)", re.DOTALL)


def bytes_per_measure() -> int:
    """Return what a process sends for one measure: the digits of its sums and counts, and its extremes."""
    return 8 * (reduce._WIDTH + 2)


def tree_s(n_processes: int, n_bytes: int) -> float:
    """Return the time of one reduction and broadcast by a binary tree."""
    return 2 * math.ceil(math.log2(n_processes)) * (LATENCY_S + n_bytes / BYTES_PER_S)


def all_reduce_s(n_processes: int, n_measures: int) -> float:
    """Return the calculated time of ``Meter.all_reduce`` of some measures."""
    if n_processes <= reduce._FEW_PROCESSES:  # each receives what the others send, in n - 1 steps of a ring
        n_bytes = FIRST_BYTES + 8 * reduce._ROOM_OF_SUMS
        first_s = (n_processes - 1) * (LATENCY_S + n_bytes / BYTES_PER_S)
        fits = reduce._WIDTH * n_measures <= reduce._ROOM_OF_SUMS
        rest_s = 0.0 if fits else tree_s(n_processes, 8 * reduce._WIDTH * n_measures)
        extremes_s = tree_s(n_processes, 16 * n_measures) if 2 * n_measures > reduce._ROOM else 0.0
        return first_s + rest_s + extremes_s
    sums_s = tree_s(n_processes, 8 * reduce._WIDTH * n_measures)
    extremes_s = tree_s(n_processes, 16 * n_measures) if 2 * n_measures > reduce._ROOM else 0.0
    return tree_s(n_processes, FIRST_BYTES) + extremes_s + sums_s


def meters() -> Iterator[Meter]:
    """Yield the meter of each process: values of every magnitude, and now and then the largest and the smallest."""
    random = np.random.RandomState(0)
    for rank in range(N_PROCESSES):
        meter = Meter()
        values = np.ldexp(random.standard_normal(4), random.randint(-1070, 1020, size=4))
        meter.update(loss=np.append(values, (1.7976931348623157e308, -5e-324)[rank % 2]))
        yield meter


def simulated() -> int:
    """Return how many of its 63 bits the largest sum of digits leaves unused.

    Raises:
        AssertionError: The sum of what the processes send is not the merge of their states.
    """
    merged = Meter()
    digits, largest = np.zeros(reduce._WIDTH, np.int64), np.zeros(reduce._WIDTH, np.int64)
    for meter in meters():
        mine = reduce._digits([meter._read("loss")], reduce._DIGITS)[0]
        digits += mine
        largest += np.abs(mine)
        merged.merge(meter)
    state = merged._read("loss")
    assert reduce._fields(digits[None], reduce._DIGITS)[0] == {name: getattr(state, name) for name in reduce._DIGITS}
    assert merged.count("loss") == 5 * N_PROCESSES
    return 63 - int(largest.max()).bit_length()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", action="store_true", help="write the figures into docs/scale.md")
    arguments = parser.parse_args()
    lines = [
        f"A process sends {bytes_per_measure():,} bytes per measure, however many values it has seen, and",
        f"{AGREEMENT_BYTES} bytes to agree on the names. Up to {reduce._FEW_PROCESSES} processes send all of it in one",
        f"message, if they have at most {reduce._ROOM_OF_SUMS // reduce._WIDTH} measures. More processes need two",
        f"reductions, or three for more than {reduce._ROOM // 2} measures. The table is calculated for these, not",
        f"measured: a ring of up to {reduce._FEW_PROCESSES} processes, else a binary tree;",
        f"{LATENCY_S * 1e6:.0f} µs per message, links of {BYTES_PER_S * 8 / 1e9:.0f} Gbit/s.",
        "",
        "| processes | 1 measure | 10 measures | 100 measures |",
        "|---|---|---|---|",
    ]
    for n in (8, 16, 1_000, 100_000):
        times = " | ".join(f"{1e3 * all_reduce_s(n, m):.2f} ms" for m in (1, 10, 100))
        lines.append(f"| {n:,} | {times} |")
    lines += [
        "",
        f"A simulation of {N_PROCESSES:,} processes, whose values range from the smallest to the largest double, adds",
        "what each process would send. The sum equals the exact merge of all states.",
        f"{simulated()} of the 63 bits of its largest digit are unused, so there is room for 2^31 processes.",
    ]
    text = "\n".join(lines)
    print(text)
    if arguments.docs:
        page = ROOT / "docs/scale.md"
        page.write_text(MARK.sub(lambda _: f"<!-- scale -->\n\n{text}\n", page.read_text(), count=1))


if __name__ == "__main__":
    main()
