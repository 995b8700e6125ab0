"""Diffusion models after EDM (Karras et al. 2022, arXiv:2206.00364).

This package re-exports nothing: ``--help`` imports ``core.diffusion.models.configs``, which must not import torch.

model.py        Denoiser, the base class of all trained models; the EDM formulas; Identity, the placeholder model
train.py        train_diffusion_model: train a run
eval.py         Evaluator: evaluate a run
trained.py      read a trained run: its completed config and its model
sampling.py     the samplers (Euler, Heun, stochastic) and generate()
noise.py        noise that depends only on seed, purpose and sample
likelihood.py   log-likelihood from the probability-flow ODE
sample_store.py samples made once per setting, shared by all evaluators
pictures.py     image grids as PNG files
devices.py      choose_device
batch_size.py   batch sizes that fit into memory
placeholder.py  dummy run for models without training
models/         the built-in denoisers mlp and unet, and their config fields
datasets/       the built-in data sets; base.py says what a data set must offer
training/       state, checkpoints, moving average, random state and training curve
distances/      distances between samples and images
evaluators/     the built-in evaluators; base.py is their base class
"""
