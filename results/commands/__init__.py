"""The commands that results adds to ``python -m core``; each is loaded by its entry point alone."""
