"""Configuration: the classes, their files, their command-line options, and the errors that a user can correct."""

from core.config import rules
from core.config.config import GlobalConfig, ModelConfig
from core.config.errors import ConfigError
from core.config.fields import option

__all__ = ["ConfigError", "GlobalConfig", "ModelConfig", "option", "rules"]
