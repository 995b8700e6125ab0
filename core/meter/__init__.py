"""The implementation of core.utils.meters: engines, exact sums, intake, rounding, state, reduction."""
