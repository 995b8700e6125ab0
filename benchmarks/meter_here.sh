#!/bin/sh
# Checks and times the meter on the processor at hand: builds the extension, runs the C++ tests and the oracle tests at
# every SIMD level that this processor has (AVX-512 too), and prints the benchmark tables.
#
# Usage: sh benchmarks/meter_here.sh        from a clone; needs a C++ compiler, pybind11, pytest, hypothesis and torch
set -eu

cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
PYML_REQUIRE_EXTENSION=1 "$python" setup.py -q build_ext --inplace
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYML_REQUIRE_EXTENSION=1
"$python" -c 'from core import _meter; print("SIMD levels:", *_meter.simd_levels())'
sh csrc/tests/run.sh
"$python" -m pytest -q tests/meter tests/utils/test_meters.py tests/utils/test_meter_container.py
"$python" benchmarks/meter.py
