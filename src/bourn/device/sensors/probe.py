"""Drivers of others as probes: anything that shows its value as an attribute or a method."""


class Probe:
    """`device.NAME` for the names of `attributes`: one value for one, {name: value} for several.

    For any driver of Adafruit's (CircuitPython, or Blinka on Linux) and of gpiozero, and any other object of that kind;
    a name that is a method is called. Values of several numbers (a tuple) become lists. What the driver raises beside
    OSError, a RuntimeError of a DHT say, comes out as it is, for the policy of the flow.

        Sensor("bed", Probe(adafruit_sht4x.SHT4x(board.I2C()), "temperature", "relative_humidity"), every_s=60)
        Sensor("door", Probe(gpiozero.Button(17), "value"), every_s=1)
    """

    def __init__(self, device, *attributes):
        if not attributes:
            raise ValueError('name what is to be read, as in Probe(device, "temperature")')
        self.device = device
        self.attributes = attributes

    def __call__(self):
        """One sample."""
        if len(self.attributes) == 1:
            return self._value(self.attributes[0])
        return {name: self._value(name) for name in self.attributes}

    def _value(self, name):
        value = getattr(self.device, name)
        if callable(value):
            value = value()
        return list(value) if isinstance(value, tuple) else value
