"""``python -m core``: every command that is installed."""

from core.cli import main

if __name__ == "__main__":
    main()
