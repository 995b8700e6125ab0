"""Build the C++ engine of the meter, and the README for package indexes; all else is in pyproject.toml.

Without a working compiler the install goes on and the pure-Python engine answers, with the same bits.
PYML_REQUIRE_EXTENSION=1 turns a failed build into an error.
"""

import os
import re
from pathlib import Path

from pybind11.setup_helpers import Pybind11Extension
from setuptools import setup

REQUIRED = os.environ.get("PYML_REQUIRE_EXTENSION") == "1"

# -ffp-contract=off: a fused multiply-add rounds once where the kernels count on two roundings.
# -fno-fast-math: these flags come after those of CXXFLAGS, and undo a -ffast-math there.
FLAGS = [] if os.name == "nt" else ["-O3", "-Wall", "-Wextra", "-Wconversion", "-ffp-contract=off", "-fno-fast-math"]


def readme_without_relative_links() -> str:
    """Return the README with the names of files in place of links to them: on a package index these lead nowhere."""
    text = re.sub(r"!\[([^\]]*)\]\((?!\w+:)[^)]*\)\n*", "", Path("README.md").read_text(encoding="utf-8"))
    return re.sub(r"\[([^\]]+)\]\((?!\w+:)([^)#]*)[^)]*\)", _named, text)


def _named(link: "re.Match[str]") -> str:
    text, path = link[1], link[2]
    return f"`{path}`" if text == path else f"{text} (`{path}`)" if path else text


setup(
    long_description=readme_without_relative_links(),
    long_description_content_type="text/markdown",
    ext_modules=[
        Pybind11Extension(
            "core._meter",
            ["csrc/bindings.cpp"],
            depends=sorted(str(header) for header in Path("csrc").glob("**/*.hpp")),
            cxx_std=17,
            extra_compile_args=FLAGS,
            optional=not REQUIRED,
        )
    ],
)
