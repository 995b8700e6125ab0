"""The data sets in the box, one module each."""
