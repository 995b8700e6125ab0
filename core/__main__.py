"""``python -m core``: every command that is installed."""

from pyml_start import python_m_core

if __name__ == "__main__":
    python_m_core()
