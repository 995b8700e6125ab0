"""The model's own options; imported for ``--help``, so no torch here."""

from attrs import frozen

from core.config import rules
from core.config.config import ModelConfig, option


@frozen(kw_only=True)
class ConvNetConfig(ModelConfig):
    """Hyperparameters of ``convnet``."""

    width: int = option(32, rule=rules.integer(1), help="Channels of the hidden layers.")
    depth: int = option(4, rule=rules.integer(1), help="Number of hidden layers.")
