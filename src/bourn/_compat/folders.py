"""Folders for outboxes, on both interpreters: needed once, when a program starts."""

import os

from bourn._compat.sockets import unix_address, unix_socket


def make_folder(path):
    """Make the folder `path` and its parents where they are missing."""
    made = ""
    for part in path.split("/"):
        made += part
        if made:
            try:
                os.stat(made)
            except OSError:
                os.mkdir(made)
        made += "/"


def folder_lock(path):
    """Keep other programs out of the folder `path` until the result is closed; OSError when one is in it.

    None where there is nobody to keep out: a board runs one program.
    """
    try:
        lock = unix_socket()
    except ValueError:
        return None
    # A name that is no file: the kernel forgets it with the process, and both interpreters respect it.
    _, inode, device = os.stat(path)[:3]
    try:
        lock.bind(unix_address("\0bourn-folder-%d-%d" % (device, inode)))
    except OSError as e:
        lock.close()
        if e.args[0] != 98:  # EADDRINUSE
            return None  # no such names here
        raise OSError(16, "another program uses the outbox %s; give each its own" % path)  # EBUSY
    return lock
