"""The factory of sensors: from a kind, or a table of settings, to an object with `sensor_id` and `sample()`.

A kind is one row below: the file beside this one, its function `probe(options)` that returns the callable which
acquires a value, and the period used when none is given. What a kind needs is imported when it is asked for.
"""

# kind: (module, function, default period in s, what it reads)
KINDS = {
    "random": ("generated", "random_integer", 5, "a random integer from -100 to 100"),
    "counter": ("generated", "counter", 1, "1, 2, 3, ..."),
    "wave": ("generated", "wave", 1, "a slow sine between -1 and 1"),
    "cpu": ("system", "cpu", 1, "CPU use of this machine, percent"),
    "load": ("system", "load", 5, "load average of the last minute"),
    "memory": ("system", "memory", 5, "memory in use, percent"),
    "disk": ("system", "disk", 60, "disk in use at the root, percent"),
    "network": ("system", "network", 5, "[bytes sent, bytes received] since the last sample"),
    "temperature": ("system", "temperature", 10, "the hottest sensor of this machine, in degrees Celsius"),
}


class Sensor:
    """A name, a period and a probe: what the scheduler samples."""

    def __init__(self, sensor_id: str, probe, every_s) -> None:
        self.sensor_id = sensor_id
        self.sample = probe
        self.every_s = every_s


def make_sensor(settings: dict) -> Sensor:
    """The sensor that `settings` describes.

    They hold `kind`, and where wanted `name`, `every` (seconds) and the kind's own options.
    ValueError, naming the kinds there are, if it is none; ImportError saying what to install.
    """
    kind = settings.get("kind", "random")
    if kind not in KINDS:
        raise ValueError("there is no sensor of kind %r; the kinds are %s" % (kind, ", ".join(sorted(KINDS))))
    module, function, every, _ = KINDS[kind]
    maker = getattr(__import__("bourn.device.sensors." + module, None, None, (function,)), function)
    return Sensor(settings.get("name") or kind, maker(settings), settings.get("every") or every)
