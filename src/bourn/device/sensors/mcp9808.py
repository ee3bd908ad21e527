"""MCP9808: temperature to a sixteenth of a degree."""

from bourn.device.sensors.bus import open_i2c
from bourn.device.sensors.chip import Chip, choice, signed

TABLE = {
    "chip": "MCP9808",
    "bus": "I2C",
    "address": 0x18,
    "identity": ((0x06, 2, 0xFFFF, 0x0054), (0x07, 2, 0xFF00, 0x0400)),
    "setup": (),
    "settle_ms": 300,
    "data": (0x05, 2),
    "fields": (("temperature", "°C", -40, 125),),
    "source": "Microchip DS25095A, 5.1.3, 5.1.4, 5.1.5, 5.2.4 with table 5-2",
}
# resolution: (register RES, typical conversion in ms), table 5-2; no greatest one is said, so a fifth more is waited
RESOLUTIONS = {0.5: (0, 30), 0.25: (1, 65), 0.125: (2, 130), 0.0625: (3, 250)}


class MCP9808(Chip):
    """Degrees Celsius; `resolution` 0.5, 0.25, 0.125 or 0.0625 (the finest, a conversion of some 250 ms).

    The register holds 0 °C after power-up until the first conversion is over, so that one is waited for.
    """

    TABLE = TABLE

    def __init__(self, bus, address=None, field="temperature", sleep=None, resolution=0.0625):
        super().__init__(bus, address, field, sleep)
        self._bits, self._conversion_ms = choice("resolution", RESOLUTIONS, resolution)

    def begin(self):
        """Set the resolution, and wait for a conversion."""
        self.write(0x08, self._bits)
        self.sleep(self._conversion_ms * 6 // 5)

    def convert(self, data):
        """Bits 15 to 13 are alarms; the others a two's complement of sixteenths (5.1.3)."""
        return (signed(data[0] << 8 | data[1], 13) / 16,)


def probe(options: dict):
    """A probe of degrees Celsius; bus settings as in bus.py, `address` (24), `resolution` (0.0625)."""
    return MCP9808(open_i2c(options), options.get("address"), resolution=options.get("resolution", 0.0625)).sample
