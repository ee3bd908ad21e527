"""Runs a command as the terminal's own foreground job: `python tools/foreground.py COMMAND [ARGUMENT...]`.

For `make run`: without it Ctrl-C reaches make as well, which then reports an error and a status of 130 although the
program ended well. Here Ctrl-C reaches the program only, and its status becomes make's. Ctrl-Z works as it should.
Without a terminal the command simply takes the place of this process.
"""

import os
import signal
import sys


def start(command, terminal):
    """Start `command` in a process group of its own, which owns the terminal; its process id."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(terminal, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(command[0], command)
    return child


def follow(child, terminal):
    """Wait for the end of `child`, stopping and going on with it; its exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(child, number))
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        os.tcsetpgrp(terminal, os.getpgrp())
        if not os.WIFSTOPPED(status):
            break
        os.kill(0, signal.SIGSTOP)  # the whole of make's group, so that the shell sees it stop
        os.tcsetpgrp(terminal, child)
        os.killpg(child, signal.SIGCONT)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def main():
    """Run the command; where there is no terminal to share, become it."""
    command = sys.argv[1:]
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
        foreground = os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        foreground = False
    if not foreground:
        os.execvp(command[0], command)
    # Both processes hand the terminal over while they are in the background.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = start(command, terminal)
    sys.exit(follow(child, terminal))


main()
