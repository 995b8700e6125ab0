"""Data sets: what one must offer (``base.py``), fingerprints, and the built-in ones."""
