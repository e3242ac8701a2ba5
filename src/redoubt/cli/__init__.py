"""The commands that people type. Knows everything below; nothing below knows it."""

import signal
import sys

if (
    sys.argv[0].endswith(("/redoubt", "/roxctl"))
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    # Until ``entry.run`` answers to Ctrl-C, it ends the process without a word instead of with a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
