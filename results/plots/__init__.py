"""Plots of many runs, with axes, units, n and what the bars mean on the plot."""
