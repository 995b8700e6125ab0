"""One self-contained HTML page about an experiments directory."""
