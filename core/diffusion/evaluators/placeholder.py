"""``placeholder``: the evaluator of models without training."""

from __future__ import annotations

from core import plugins
from core.config.config import ModelConfig
from core.diffusion.evaluators.base import RunEvaluator
from core.diffusion.placeholder import dummy_record
from core.diffusion.trained import is_denoiser
from core.utils.results import ResultCollection


class PlaceholderEvaluator(RunEvaluator):
    """Passes dummy data through the model and returns a dummy result."""

    @classmethod
    def supports(cls, config: ModelConfig) -> bool:
        """Return whether the model is not a ``Denoiser``, so that it is not trained."""
        return not is_denoiser(config)

    def evaluate(self) -> ResultCollection:
        """Return one dummy result."""
        with plugins.named_in_errors(plugins.MODELS, self.config.model):
            model = plugins.load(plugins.MODELS, self.config.model)(self.config).eval()
            record = dummy_record(model, self.config.model, "eval")
        self.settings.progress(1, 1, f"{self.config.model!r} is a placeholder: its results mean nothing")
        return ResultCollection([record])
