"""The connection over TCP: `tcp://host:port`."""

from bourn.device import open_tcp


def split_url(url: str):
    """("host", port) of `tcp://host:port`; ValueError saying what is wrong with it."""
    colon = url.rfind(":")  # no `partition`: an ESP8266 has none
    host, port = url[6:colon], url[colon + 1 :]
    digits = port and not [c for c in port if c < "0" or c > "9"]
    if not url.startswith("tcp://") or not host or not digits or not 0 < int(port) < 65536:
        raise ValueError("a hub's URL looks like tcp://127.0.0.1:7007, not %r" % url)
    return host.strip("[]"), int(port)


def check(url: str) -> str:
    """`url` itself; ValueError when it has not the form tcp://host:port."""
    split_url(url)
    return url


def open_link(url: str):
    """A socket that is connecting to the hub at `url`. OSError."""
    host, port = split_url(url)
    return open_tcp(host, port)
