"""The connection over a pipe that whoever started this program left open for it: `pipe:NUMBER`.

The number is that of an inherited file descriptor, one end of a two-way pipe (a socket pair, as `multiprocessing.Pipe`
makes), set not to block. It ends when either side ends, and cannot be opened again.
"""

import errno

ONCE = True


def check(url: str) -> str:
    """`url` itself; ValueError when it has no number of a descriptor."""
    _number(url)
    return url


def open_link(url: str):
    """The channel over that descriptor. OSError when it is not open."""
    return Pipe(open(_number(url), "r+b", buffering=0))


def _number(url):
    number = url[len("pipe:") :]
    if not number or [c for c in number if c < "0" or c > "9"]:
        raise ValueError(
            "a pipe is made by who starts a sensor, like `bourn run --connection pipe`, and is called pipe:3, not %r"
            % url
        )
    return int(number)


class Pipe:
    """A channel over a file that does not block."""

    def __init__(self, file) -> None:
        self.polled = file

    def send(self, data) -> int:
        """Write what there is room for."""
        n = self.polled.write(data)
        if n is None:
            raise OSError(errno.EAGAIN, "full")
        return n

    def recv(self, n: int) -> bytes:
        """Read what there is, at most `n` bytes."""
        data = self.polled.read(n)
        if data is None:
            raise OSError(errno.EAGAIN, "empty")
        return data

    def close(self) -> None:
        """Close the descriptor."""
        self.polled.close()
