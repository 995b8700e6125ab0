"""The parts of training: state, checkpoints, moving average of the weights, random state, training curve."""
