"""The built-in evaluators; ``base.py`` holds their base class."""
