"""The config of the tests' small runs; a test that needs another changes some of its fields."""

from core.diffusion.models.configs import MLPConfig

#: Training takes 12 steps.
TINY = MLPConfig(
    model="mlp",
    n_epochs=4,
    batch_size=500,
    hidden_layer_sizes=(32, 32),
    embedding_size=16,
    dropout=0.1,
    warmup_steps=4,
    checkpoint_every_epochs=2,
    n_steps=3,
    n_samples=60,
)
