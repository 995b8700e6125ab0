"""The built-in denoisers, one module each, and their own config fields (``configs.py``)."""
