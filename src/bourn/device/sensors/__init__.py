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
    "adc": ("adc", "probe", 1, "the voltage at a pin of a board"),
    "adxl345": ("adxl345", "probe", 1, "acceleration {x, y, z}, in g"),
    "bme280": ("bme280", "probe", 10, "{temperature, pressure, humidity}, in degrees Celsius, hPa and percent"),
    "chip_temperature": ("chip_temperature", "probe", 10, "the board's own chip, in degrees Celsius"),
    "dht": ("dht", "probe", 10, "{temperature, humidity}, in degrees Celsius and percent"),
    "ds18x20": ("ds18x20", "probe", 10, "a thermometer on 1-Wire, in degrees Celsius"),
    "file": ("file", "probe", 10, "the number in a file of Linux's kernel"),
    "gpio": ("gpio", "probe", 1, "the level of a pin, 0 or 1"),
    "mcp9808": ("mcp9808", "probe", 10, "a thermometer, in degrees Celsius"),
    "tsl2591": ("tsl2591", "probe", 10, "{lux, full, infrared}: light, and the counts of both diodes"),
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
