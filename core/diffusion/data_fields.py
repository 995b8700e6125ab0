"""The config fields that training finds in the data: the shape of an image, the number of classes, and others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from core.config.config import ModelConfig
from core.config.errors import ConfigError
from core.config.fields import found_fields
from core.diffusion.datasets.base import ImageData, is_from_before_fingerprints, measured_sigma_data
from core.diffusion.datasets.fingerprint import classes_fingerprint, fingerprint


def without_found(config: ModelConfig) -> ModelConfig:
    """Return the config of a new run: what an earlier run found in its data is left out."""
    nothing: dict[str, Any] = dict.fromkeys(found_fields(ModelConfig))
    return attrs.evolve(config, **nothing)


def completed_from_data(config: ModelConfig, data: ImageData) -> tuple[ModelConfig, tuple[str, ...]]:
    """Return the config with the fields that only the data can give, and the names of these fields.

    Raises:
        ConfigError: The run is resumed, and its training data have changed.
    """
    found: dict[str, Any] = {"data_shape": tuple(data.data_shape), "n_classes": data.n_classes}
    if not is_from_before_fingerprints(config):
        found["data_fingerprint"] = fingerprint(data)
        if config.data_fingerprint not in {None, found["data_fingerprint"]}:
            raise ConfigError(
                f"data set {config.dataset!r}: the training images are not those that this run was trained on "
                f"(fingerprint {found['data_fingerprint']}, before: {config.data_fingerprint}). "
                "Restore the data, or start a new run."
            )
    if (of_classes := classes_fingerprint(data)) is not None:
        found["classes_fingerprint"] = of_classes
    if config.data_dir is not None:
        found["data_dir_absolute"] = config.data_dir_absolute or str(Path(config.data_dir).expanduser().resolve())
    if config.sigma_data is None:
        found["sigma_data"] = measured_sigma_data(data, config.sigma_data_from)
    return attrs.evolve(config, **found), tuple(found)
