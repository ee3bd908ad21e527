"""What all tests share."""

import signal

# A shell without job control starts what goes into its background with SIGINT ignored, and all started from there
# inherits it: a program that gets Ctrl-C from a test before it has a handler would never hear of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
