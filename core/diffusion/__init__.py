"""Diffusion models in the manner of EDM (Karras et al. 2022, arXiv:2206.00364).

Nothing is re-exported: importing ``core.diffusion.models.configs`` for ``--help`` must not import torch.

model.py        the identity seed, the EDM formulas, Denoiser: the base of every trained model
mlp.py          the models in the box
configs.py      their own config fields
train.py        train_diffusion_model
eval.py         the evaluators
"""
