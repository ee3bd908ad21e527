"""DHT11 and DHT22 (AM2302): temperature and humidity over one wire of their own."""

from bourn.device.sensors.chip import EIO

TABLE = {
    "chip": "DHT11, DHT22 (AM2302)",
    "bus": "one pin",
    "fields": (("temperature", "°C", -40, 80), ("humidity", "%", 0, 100)),
    "source": "Aosong AM2302 manual, 7.2 and 7.3; Aosong DHT11 manual, 5",
}


class DHT:
    """Degrees Celsius and percent of relative humidity; `model` 22 or 11. At most one sample in 2 s (DHT11: 1 s).

    `measure(pin, buffer)` fills 5 bytes; on a board the port's own `dht_readinto`. OSError when nobody answers (110
    ETIMEDOUT, by `measure`), when the checksum is wrong, or when the values cannot be.
    """

    def __init__(self, pin, model=22, field=None, measure=None):
        if model not in (11, 22):
            raise ValueError("model is 11 or 22, not %r" % (model,))
        if field not in (None, "temperature", "humidity"):
            raise ValueError("a DHT has no field %r; it has temperature, humidity" % (field,))
        self.pin = pin
        self.model = model
        self.field = field
        self._measure = measure or _of_this_port()
        self._data = bytearray(5)

    def sample(self):
        """One measurement: {temperature, humidity}, or the field alone."""
        self._measure(self.pin, self._data)
        temperature, humidity = decode(self._data, self.model)
        if not -40 <= temperature <= 80 or not 0 <= humidity <= 100:
            raise OSError(EIO, "dht: %s °C and %s %% cannot be" % (temperature, humidity))
        if self.field:
            return temperature if self.field == "temperature" else humidity
        return {"temperature": temperature, "humidity": humidity}


def decode(data, model):
    """(°C, %) of the 5 bytes. OSError when the last is not the sum of the others, or nobody has driven the wire."""
    if sum(data[:4]) & 0xFF != data[4] or not any(data):
        raise OSError(EIO, "dht: the checksum is wrong")
    if model == 11:  # whole and tenths; newer ones mark what is below zero by the highest bit of the tenths
        temperature = data[2] + (data[3] & 0x7F) / 10
        humidity = data[0] + data[1] / 10
        return (-temperature if data[3] & 0x80 else temperature), humidity
    # tenths; the sign is a bit of its own, no two's complement (7.3)
    temperature = ((data[2] & 0x7F) << 8 | data[3]) / 10
    return (-temperature if data[2] & 0x80 else temperature), (data[0] << 8 | data[1]) / 10


def _of_this_port():
    for module in ("machine", "esp"):  # where the ports have it
        try:
            found = getattr(__import__(module), "dht_readinto", None)
        except ImportError:
            found = None
        if found:
            return found
    raise ImportError("no dht_readinto here: a DHT needs a board; on Linux take the kernel's dht11 with kind `file`")


def probe(options: dict):
    """A probe of {temperature, humidity}, or of one `field`; `pin`, `model` (22)."""
    measure = options.get("measure") or _of_this_port()
    from bourn.device.sensors.bus import open_pin

    return DHT(open_pin(options), options.get("model", 22), options.get("field"), measure).sample
