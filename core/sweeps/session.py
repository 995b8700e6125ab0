"""Takes the fork server of a sweep out of the terminal's process group. It imports this before anything else.

A signal to that group, such as Ctrl-C, is for the sweep alone. If it ended the fork server, the runs could not be told
to stop. The sweep starts the fork server with these signals blocked, so that none ends it before it is here.
"""

import contextlib
import os
import signal

from core.utils.signals import STOPPING

if hasattr(os, "setsid"):
    with contextlib.suppress(OSError):
        os.setsid()
for number in STOPPING:
    handler = signal.signal(number, signal.SIG_IGN)  # forgets a signal that came while it was blocked
    signal.signal(number, handler)
if hasattr(signal, "pthread_sigmask"):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
