"""The imports of every job of a sweep. The fork server makes them once, so that no job waits for torch."""

import core.commands.eval
import core.commands.train
import core.diffusion.eval
import core.diffusion.train  # noqa: F401  # imported for its effect
