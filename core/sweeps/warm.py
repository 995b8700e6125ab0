"""The imports of every job of a sweep. The fork server makes them once, so that no job waits for torch."""

import signal

import core.commands.eval
import core.commands.train
import core.diffusion.eval
import core.diffusion.train  # noqa: F401  # imported for its effect

# A terminal that is closed sends this to the fork server, too. If it ended, its runs could not be told to stop.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
