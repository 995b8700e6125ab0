"""A short run of one's own, for the fault tests: what it prints on stdout as logged must be on disk."""

import sys
from pathlib import Path

from core.runs import Run
from core.utils.meters import Meter

with Run({"model": "line", "seed": 0}, experiments_dir=Path(sys.argv[1])) as run:
    for step in range(2):
        run.meter.update(loss=[0.5 - 0.1 * step, 0.4])
        run.log_curve(step)
    for name in ("accuracy", "loss"):
        meter = Meter(name)
        meter.update({name: [0.25, 0.5, 1.0]})
        run.log_result(name, meter.result(name), unit="image")
    run.save_values("accuracy", [0, 1, 2], [0.25, 0.5, 1.0])
