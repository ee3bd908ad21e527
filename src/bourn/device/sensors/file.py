"""A number in a file, where Linux's kernel shows what its drivers read: hwmon, iio, thermal, 1-Wire, batteries."""

from bourn.device.sensors.chip import EIO

TABLE = {
    "chip": "any with a driver in the kernel",
    "bus": "sysfs",
    "fields": (("value", "as `scale` makes it", "-", "-"),),
    "source": "Linux, Documentation/ABI/testing/sysfs-bus-iio and sysfs-class-hwmon",
}


class FileProbe:
    """The first number in the file `path`, times `scale`, plus `offset`. OSError when there is none."""

    def __init__(self, path, scale=1, offset=0):
        self.path = path
        self._scale = scale
        self._offset = offset

    def sample(self):
        """Read it now."""
        try:
            with open(self.path) as file:
                words = file.read(200).split()
            number = float(words[0]) if "." in words[0] else int(words[0])
        except (IndexError, ValueError):
            raise OSError(EIO, "%s holds no number" % self.path)
        value = number * self._scale + self._offset
        return value if isinstance(value, int) else round(value, 6)


def probe(options: dict):
    """A probe of the number in `path`, times `scale` (1), plus `offset` (0)."""
    if not options.get("path"):
        raise ValueError('give the file as `path`, like "/sys/class/hwmon/hwmon0/temp1_input"')
    return FileProbe(options["path"], options.get("scale", 1), options.get("offset", 0)).sample
