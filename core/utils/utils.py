"""Public names of several modules: ``Timer``, and from :mod:`core.runs` what makes run directories."""

from core.runs.config_file import save_config_to_json
from core.runs.directory import create_experiment_subdir, generate_run_id
from core.utils.timer import Timer, wait_for_gpu

__all__ = ["Timer", "create_experiment_subdir", "generate_run_id", "save_config_to_json", "wait_for_gpu"]
