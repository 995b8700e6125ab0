"""What every job of a sweep imports: the fork server imports it once, so that no job waits for torch."""

import core.commands.eval
import core.commands.train
import core.diffusion.eval
import core.diffusion.train  # noqa: F401  # imported for its effect
