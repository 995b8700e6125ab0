"""Log results of a run until its disk is full, for the test of full disks."""

import sys
from pathlib import Path

from core.runs import Run
from core.utils.meters import Meter

with Run({"model": "line", "seed": 0}, experiments_dir=Path(sys.argv[1])) as run:
    for step in range(100_000):
        run.meter.update(loss=[0.5, 0.25])
        run.log_curve(step)
        meter = Meter("accuracy")
        meter.update(accuracy=[0.25, 0.5, 1.0])
        run.log_result(f"accuracy/{step}", meter.result("accuracy"), unit="image")
