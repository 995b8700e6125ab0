"""Intervals, tests and power over replicates."""
