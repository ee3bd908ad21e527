"""What carries a sender's frames to its hub, chosen by URL. This file is the contract; the files beside it keep it.

    check_url(url) -> str
        What messages call this connection: the URL without its secrets. ValueError: it is none, and why.
    open_connection(url) -> channel
        Begins to connect and blocks nobody. OSError: it cannot be reached now.
    opens_once(url) -> bool
        True where it cannot be opened again: whoever started this program has to give it a new one.
    channel.send(data) -> int, channel.recv(n) -> bytes, channel.close()
        As of a socket that does not block: OSError with EAGAIN when it would, b"" at the end. `recv` gives all there
        is where the channel is no socket: `n` is what a small board can spare.
    channel.polled
        What `select.poll` takes, where that is not the channel itself.
    channel.interest(writing) -> int
        What to poll for, where that is not POLLIN, and POLLOUT while there is something to write: an object that rings
        one bell for both says POLLIN.

A driver is a file here with `check(url)`, `open_link(url)`, which do what the first two functions say, and perhaps
`ONCE = True`. `bourn.hub.connections` has the other ends.
"""

import select


def driver(url):
    """The module for this URL, loaded on use; ValueError when there is none."""
    file = url.split(":", 1)[0]
    if file != "tcp":  # what most boards have needs no table
        from bourn.device.connections.schemes import file_of

        file = file_of(file, url)
    return __import__("bourn.device.connections." + file, None, None, ("check",))


def check_url(url: str) -> str:
    """What messages call the connection to `url`; ValueError, saying how one looks, when it is none."""
    try:
        return driver(url).check(url)
    except ImportError as e:
        raise ValueError("no %s here: %s; use tcp://, or locally unix:" % (url.split(":", 1)[0], e))


def open_connection(url: str):
    """A channel that is connecting to the hub at `url`. OSError when it cannot be reached."""
    return driver(url).open_link(url)


def socket_interest(writing):
    """What to poll a channel for that is a socket."""
    return select.POLLIN | (select.POLLOUT if writing else 0)


def opens_once(url: str) -> bool:
    """True if nothing can come after the first channel to `url` has ended."""
    return getattr(driver(url), "ONCE", False)
