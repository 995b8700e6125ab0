"""Sweeps: many configs from one command, run on this machine or on Slurm."""
