"""The connection through queues of multiprocessing, from a sensor's process to the hub that started it: `mpqueue:3`.

The number is that of the pair that this process inherited. It ends when either side ends, and cannot be opened again.
"""

from bourn import process_queue
from bourn.device.connections.thread_queue import Queue

ONCE = True


def check(url: str) -> str:
    """`url` itself; ValueError when it has no number of a pair."""
    _number(url)
    return url


def open_link(url: str):
    """The channel over that pair. OSError when there is none."""
    pair = process_queue.find(_number(url))
    return Queue(process_queue.attach(pair.down, pair.up))


def _number(url):
    number = url.partition(":")[2]
    if not number or [c for c in number if c < "0" or c > "9"]:
        raise ValueError(
            "queues between processes are made by who starts a sensor, like `bourn run --connection queue --sensors-as "
            "processes`, and are called mpqueue:3, not %r" % url
        )
    return int(number)
