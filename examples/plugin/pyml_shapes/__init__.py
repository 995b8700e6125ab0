"""An example plugin for pyml-core: a model, a data set and an evaluator of one's own."""
