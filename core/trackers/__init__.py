"""The trackers in the box: what passes a run's curve and results on to other tools while it runs."""
