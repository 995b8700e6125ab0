"""Distances between two sets of feature vectors, in NumPy: each with an error."""
