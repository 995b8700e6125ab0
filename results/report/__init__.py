"""One self-contained HTML page about an experiment directory."""
