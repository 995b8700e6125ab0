"""An example plugin for pyml-core: a model, a data set, an evaluator and a tracker of one's own."""
