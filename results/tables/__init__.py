"""Tables of groups and lists of runs, in several formats."""
