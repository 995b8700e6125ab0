"""Build the C++ engine of the meter; everything else about the package is in pyproject.toml.

Without a working compiler the install goes on and the pure-Python engine answers, with the same bits.
PYML_REQUIRE_EXTENSION=1 turns a failed build into an error.
"""

import os
from pathlib import Path

from pybind11.setup_helpers import Pybind11Extension
from setuptools import setup

REQUIRED = os.environ.get("PYML_REQUIRE_EXTENSION") == "1"

# -ffp-contract=off: a fused multiply-add rounds once where the kernels count on two roundings.
# -fno-fast-math: these flags come after those of CXXFLAGS, and undo a -ffast-math there.
FLAGS = [] if os.name == "nt" else ["-O3", "-Wall", "-Wextra", "-Wconversion", "-ffp-contract=off", "-fno-fast-math"]

setup(
    ext_modules=[
        Pybind11Extension(
            "core._meter",
            ["csrc/bindings.cpp"],
            depends=sorted(str(header) for header in Path("csrc").glob("**/*.hpp")),
            cxx_std=17,
            extra_compile_args=FLAGS,
            optional=not REQUIRED,
        )
    ]
)
