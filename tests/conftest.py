"""What every test shares, whatever machine it runs on: the CPU, one thread, and Ctrl-C as a terminal gives it."""

import os
import signal

# Numbers are compared to the bit, and a GPU or another number of threads changes the last ones. Both are set in the
# environment before torch is imported, so that the processes that tests start have them too.
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["OMP_NUM_THREADS"] = "1"

# A shell that starts a command in the background ignores SIGINT, and processes inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
