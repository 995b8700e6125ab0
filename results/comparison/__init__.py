"""Comparisons of two groups of runs, and their forms as text and JSON."""
