"""The meter behind its face, core.utils.meters: engines, exact sums, intake, rounding, state, reduction."""
