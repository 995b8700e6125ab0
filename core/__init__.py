"""Experiments whose numbers you can defend: exact meters, results with error bars, plugins.

Nothing is imported here, so that ``import core`` costs nothing; import from the modules::

    from core.config import GlobalConfig, ModelConfig
    from core.utils.meters import Meter
    from core.utils.results import ResultMetadata, ResultRecord, ScalarResult
    from core.diffusion.train import train_diffusion_model
"""

__version__ = "0.1.0"
