"""ADXL345: acceleration along three axes, over I2C or SPI."""

from bourn.device.sensors.bus import open_i2c
from bourn.device.sensors.chip import Chip, choice, signed

TABLE = {
    "chip": "ADXL345",
    "bus": "I2C, SPI",
    "address": 0x53,
    "identity": ((0x00, 1, 0xFF, 0xE5),),
    "setup": ((0x2C, 0x0A), (0x2D, 0x08)),  # 100 Hz; measure
    "settle_ms": 12,  # 1.1 ms and one period
    "data": (0x32, 6),
    "fields": (("x", "g", -16, 16), ("y", "g", -16, 16), ("z", "g", -16, 16)),
    "source": "Analog Devices ADXL345 Rev. G, table 1, register map 0x00 and 0x2C to 0x37",
}
RANGES = {2: 0, 4: 1, 8: 2, 16: 3}
FULL_RESOLUTION = 0x08  # one LSB is 1/256 g in every range


class ADXL345(Chip):
    """x, y and z in g, in steps of 1/256 g; `range_g` 2, 4, 8 or 16. On SPI: `SpiRegisters(spi, cs, more=0x40)`."""

    TABLE = TABLE

    def __init__(self, bus, address=None, field=None, sleep=None, range_g=2):
        super().__init__(bus, address, field, sleep)
        self._range = choice("range_g", RANGES, range_g)

    def begin(self):
        """Set the range, then what the table says."""
        self.write(0x31, FULL_RESOLUTION | self._range)
        super().begin()

    def convert(self, data):
        """Three two's complements of 16 bits, the lower byte first (registers 0x32 to 0x37)."""
        return tuple([signed(data[i + 1] << 8 | data[i], 16) / 256 for i in (0, 2, 4)])


def probe(options: dict):
    """A probe of {x, y, z} in g, or of one `field`; bus settings as in bus.py, `address` (83), `range_g` (2)."""
    bus = open_i2c(options)
    return ADXL345(bus, options.get("address"), options.get("field"), range_g=options.get("range_g", 2)).sample
