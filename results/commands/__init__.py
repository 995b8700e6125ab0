"""The commands that results adds to ``python -m core``. Each is loaded on its own, by its entry point."""
