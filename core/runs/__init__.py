"""The run directory: one module for each of its files, and the finding of runs."""
