"""Start ``pyml-eval`` from a clone: ``python scripts/eval.py latest``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pyml_start import pyml_eval

if __name__ == "__main__":
    pyml_eval()
