"""What training changes and keeps: its state, checkpoints, the average of the weights, the curve."""
