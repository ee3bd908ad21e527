"""Which file beside this one a scheme of URLs belongs to."""

# scheme: (file, how a URL looks)
_DRIVERS = {
    "tcp": ("tcp", "tcp://127.0.0.1:7007"),
    "tls": ("tls", "tls://hub.local:7443?ca=ca.pem"),
    "unix": ("unix", "unix:bourn.sock"),
    "pipe": ("pipe", "pipe:3"),
    "queue": ("thread_queue", "queue:hub"),
    "mpqueue": ("process_queue", "mpqueue:3"),
    "shm": ("shared_memory", "shm:bourn.sock"),
    "mqtt": ("mqtt", "mqtt://127.0.0.1:1883/bourn"),
    "mqtts": ("mqtt", "mqtts://host/bourn?ca=ca.pem"),
}


def file_of(scheme: str, url: str) -> str:
    """The file's name; ValueError, saying how URLs look, where there is none."""
    if scheme not in _DRIVERS:
        known = ", ".join([_DRIVERS[k][1] for k in sorted(_DRIVERS)])
        raise ValueError("there is no connection %r; a hub's URL looks like one of: %s" % (url, known))
    return _DRIVERS[scheme][0]
