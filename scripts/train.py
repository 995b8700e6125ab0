"""Start ``pyml-train`` from a clone: ``python scripts/train.py --model mlp``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pyml_start import pyml_train

if __name__ == "__main__":
    pyml_train()
