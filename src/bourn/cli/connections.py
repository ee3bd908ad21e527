"""How the sensors of `bourn run` reach the hub: what goes together, and at which URL."""

from __future__ import annotations

from bourn.cli.config import ConfigError

SENSORS_AS = ("processes", "threads")

# What `--connection` takes: (what it is called in URLs, what the sensors are unless --sensors-as says otherwise).
# A queue to a process is another than to a thread: `mpqueue:`.
CONNECTIONS = {
    "socket": ("tcp", "processes"),
    "unix": ("unix", "processes"),
    "pipe": ("pipe", "processes"),
    "queue": ("queue", "threads"),
    "shared-memory": ("shm", "processes"),
    "mqtt": ("mqtt", "processes"),
}
BROKER = "mqtt:"  # of a broker that is started first: `bourn run` puts its URL here
INHERITED = {"pipe": "pipe", "queue": "queue", "mpqueue": "queue"}  # without an address: what it is
ON_MICROPYTHON = ("socket", "unix", "pipe", "mqtt")


class Wiring:
    """What was chosen: `connection`, sensors as `threads` or not, whether one may run on MicroPython."""

    def __init__(self, connection: str, sensors_as: str | None, micropython: str, port: int) -> None:
        """ConfigError, naming what to change, when the choices cannot go together."""
        name = connection.replace("_", "-")
        if name not in CONNECTIONS:
            raise ConfigError(f"there is no connection {connection!r}; use {', '.join(CONNECTIONS)}")
        if sensors_as is not None and sensors_as not in SENSORS_AS:
            raise ConfigError(f"sensors run as {' or '.join(SENSORS_AS)}, not as {sensors_as!r}; see --sensors-as")
        self.connection = name
        self.threads = (sensors_as or CONNECTIONS[name][1]) == "threads"
        self._port = port
        if port and name != "socket":
            raise ConfigError(f"--port is for --connection socket; leave it out with {name}")
        chosen = micropython not in ("auto", "none")
        if chosen and self.threads:
            raise ConfigError(
                "threads run on this interpreter; use --sensors-as processes for a sensor on MicroPython, "
                "or leave --micropython out"
            )
        if chosen and name not in ON_MICROPYTHON:
            raise ConfigError(
                f"MicroPython cannot do {name}: it has no {'multiprocessing' if name == 'queue' else 'mmap'}; use "
                f"--connection {' or '.join(ON_MICROPYTHON)}, or leave --micropython out"
            )
        self.micropython = not self.threads and name in ON_MICROPYTHON

    def url(self, journal: str) -> str:
        """Where the hub listens for this, beside its journal where that is a file."""
        scheme = CONNECTIONS[self.connection][0]
        if scheme == "tcp":
            return f"tcp://127.0.0.1:{self._port}"
        queue = "queue:hub" if self.threads else "mpqueue:"
        return {"pipe": "pipe:", "queue": queue, "mqtt": BROKER}.get(scheme, f"{scheme}:{journal}.sock")


def check_hub_url(url: str, micropython: str) -> None:
    """ConfigError unless sensors in processes of their own can reach a hub of another process at `url`."""
    from bourn.device.connections import check_url

    try:
        check_url(url)
    except ValueError as e:
        raise ConfigError(str(e)) from e
    scheme = url.partition(":")[0]
    if scheme in INHERITED:
        raise ConfigError(
            f"{url} leads out of no process: only `bourn run` can give sensors a {INHERITED[scheme]}; use unix:PATH "
            "here, or tcp:// between machines"
        )
    if scheme == "shm" and micropython not in ("auto", "none"):
        raise ConfigError("MicroPython cannot do shm: it can map no memory; use unix:PATH, or leave --micropython out")


def check_listen_urls(urls: list[str]) -> None:
    """ConfigError where other processes could never reach a hub that listens there."""
    for url in urls:
        scheme = url.partition(":")[0]
        if scheme in INHERITED:
            raise ConfigError(
                f"{url} leads out of no process: only `bourn run` can give sensors a {INHERITED[scheme]}; listen at "
                "unix:PATH, shm:PATH or tcp:// here"
            )
