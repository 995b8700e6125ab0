"""Meters, timers, results and run directories; import from the modules."""
