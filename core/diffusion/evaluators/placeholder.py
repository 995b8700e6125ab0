"""The evaluator of a model that is not trained."""

from __future__ import annotations

from core import plugins
from core.config.config import ModelConfig
from core.diffusion.evaluators.base import RunEvaluator
from core.diffusion.placeholder import dummy_record, placeholder_notice
from core.diffusion.trained import is_denoiser
from core.utils.results import ResultCollection


class PlaceholderEvaluator(RunEvaluator):
    """Passes dummy tensors through the model and returns a dummy result: the way, without the work."""

    @classmethod
    def supports(cls, config: ModelConfig) -> bool:
        """Say whether the model takes the placeholder's way."""
        return not is_denoiser(config)

    def evaluate(self) -> ResultCollection:
        """Return one dummy result."""
        model = plugins.load(plugins.MODELS, self.config.model)(self.config).eval()
        record = dummy_record(model, self.config.model, "eval")
        self.settings.progress(1, 1, placeholder_notice(self.config.model))
        return ResultCollection([record])
