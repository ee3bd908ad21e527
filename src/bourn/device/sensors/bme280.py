"""BME280: temperature, pressure and humidity, over I2C or SPI, asleep between samples."""

import struct

from bourn.device.sensors.bus import open_i2c
from bourn.device.sensors.chip import EIO, Chip, signed

CTRL_HUM = 0xF2
STATUS = 0xF3
CTRL_MEAS = 0xF4
CONFIG = 0xF5
FORCED_ONCE = 0x25  # temperature x1, pressure x1, forced mode
MEASURING = 0x08

TABLE = {
    "chip": "BME280",
    "bus": "I2C, SPI",
    "address": 0x76,
    "identity": ((0xD0, 1, 0xFF, 0x60),),
    "setup": ((CTRL_HUM, 0x01), (CONFIG, 0x00)),  # humidity x1; no filter
    "settle_ms": 0,
    "data": (0xF7, 8),
    "fields": (("temperature", "°C", -40, 85), ("pressure", "hPa", 300, 1100), ("humidity", "%", 0, 100)),
    "source": "Bosch BST-BME280-DS001-24 (rev. 1.24), 3.3, 4.2.2, 4.2.3, 5.4, 9.1",
}
MEASURED_MS = 10  # one of each takes 9.3 ms at most (9.1)


class BME280(Chip):
    """Degrees Celsius, hPa and percent of relative humidity, one measurement a sample (forced mode, 10 ms)."""

    TABLE = TABLE

    def __init__(self, bus, address=None, field=None, sleep=None):
        super().__init__(bus, address, field, sleep)
        self.calibration = None  # (T1..T3, P1..P9, H1..H6)

    def begin(self):
        """Read what this chip was calibrated to, and set it up."""
        self.calibration = calibration(self.register(0x88, 26), self.register(0xE1, 7))
        if not self.calibration[0]:
            raise OSError(EIO, "BME280: it has not read its own calibration yet")
        super().begin()

    def read(self):
        """Measure, and read it. OSError when the measurement does not end."""
        self.write(CTRL_MEAS, FORCED_ONCE)
        self.sleep(MEASURED_MS)
        if self.register(STATUS)[0] & MEASURING:
            raise OSError(EIO, "BME280: a measurement takes too long")
        return super().read()

    def convert(self, data):
        """20 bits of pressure, 20 of temperature, 16 of humidity (5.4.7 to 5.4.9), compensated."""
        pressure = data[0] << 12 | data[1] << 4 | data[2] >> 4
        temperature = data[3] << 12 | data[4] << 4 | data[5] >> 4
        humidity = data[6] << 8 | data[7]
        # the marks for that; humidity alone has it where the chip has lost its set-up, without power for a moment
        if temperature == 0x80000 or pressure == 0x80000 or humidity == 0x8000:
            raise OSError(EIO, "BME280: nothing was measured")
        return compensate(self.calibration, temperature, pressure, humidity)


def calibration(low, high):
    """(T1..T3, P1..P9, H1..H6) from the 26 bytes at 0x88 and the 7 at 0xE1 (table 16)."""
    numbers = struct.unpack("<HhhHhhhhhhhh", low[:24])
    h2, h3 = struct.unpack("<hB", high[:3])
    h4 = signed(high[3] << 4 | high[4] & 0x0F, 12)
    h5 = signed(high[5] << 4 | high[4] >> 4, 12)
    return numbers + (low[25], h2, h3, h4, h5, signed(high[6], 8))


def compensate(numbers, adc_t, adc_p, adc_h):
    """(°C, hPa, %) by the integer formulas of the datasheet, 4.2.3: 32 bits, and 64 for the pressure."""
    t1, t2, t3, p1, p2, p3, p4, p5, p6, p7, p8, p9, h1, h2, h3, h4, h5, h6 = numbers
    fine = ((adc_t >> 3) - (t1 << 1)) * t2 >> 11
    fine += (((adc_t >> 4) - t1) * ((adc_t >> 4) - t1) >> 12) * t3 >> 14

    a = fine - 128000
    b = a * a * p6 + (a * p5 << 17) + (p4 << 35)
    a = (a * a * p3 >> 8) + (a * p2 << 12)
    a = ((1 << 47) + a) * p1 >> 33
    if not a:
        raise OSError(EIO, "BME280: a calibration that divides by zero")
    p = ((1048576 - adc_p << 31) - b) * 3125 // a
    c = p9 * (p >> 13) * (p >> 13) >> 25
    p = (p + c + (p8 * p >> 19) >> 8) + (p7 << 4)

    h = fine - 76800
    scaled = (adc_h << 14) - (h4 << 20) - h5 * h + 16384 >> 15
    slope = ((h * h6 >> 10) * ((h * h3 >> 11) + 32768) >> 10) + 2097152
    h = scaled * (slope * h2 + 8192 >> 14)
    h -= ((h >> 15) * (h >> 15) >> 7) * h1 >> 4
    h = min(max(h, 0), 419430400) >> 12
    return ((fine * 5 + 128 >> 8) / 100, round(p / 25600, 3), round(h / 1024, 3))


def probe(options: dict):
    """A probe of {temperature, pressure, humidity}, or of one `field`; bus settings as in bus.py, `address` (118)."""
    return BME280(open_i2c(options), options.get("address"), options.get("field")).sample
