"""The largest files, depths and numbers that readers accept from files that somebody else may have written.

A run directory may come from a full disk, a broken copy or a stranger. One bad file may make its own run unusable, but
must not use up the memory or the time of a command that reads thousands of runs.
"""

from __future__ import annotations

MIB = 1 << 20

MOST_JSON_BYTES = 16 * MIB  # config.json, status.json, environment.json: a few KiB when we write them
MOST_LINES_BYTES = 512 * MIB  # results.jsonl and metrics.jsonl: 500 bytes a line, so a million lines
MOST_VALUES_BYTES = 1024 * MIB  # one file of values/, packed and unpacked: 60 million samples
MOST_SAMPLES_BYTES = 16 * 1024 * MIB  # one part of samples/: 1,000 images, 3 GiB where they have 512 × 512 pixels
MOST_CHECKPOINT_BYTES = 64 * 1024 * MIB  # a checkpoint of 4 billion weights with one average and Adam: 64 GB
MOST_PICTURE_BYTES = 16 * MIB  # a grid in samples/: some hundred KiB
MOST_PICTURE_PIXELS = 64 * MIB  # 8,000 × 8,000
MOST_DEPTH = 64  # nested lists and objects; our own files have five
MOST_DIGITS = 40  # of an integer; 2**126, the largest count of a meter, has 38
MOST_MAGNITUDE = 1e150  # of a mean or an error: squares of larger numbers overflow where runs are summarised
MOST_STEP = 10**18  # of a curve or a checkpoint, below 2**63, as plots need
