"""Many runs: the experiment directory as a database, comparisons, tables, plots and a report."""
