"""TSL2591: light, from moonlight to full sun, by two photodiodes."""

from bourn.device.sensors.bus import open_i2c
from bourn.device.sensors.chip import Chip, choice

COMMAND = 0xA0  # set in the number of every register (datasheet, "Command Register")
ENABLE = COMMAND | 0x00
CONTROL = COMMAND | 0x01
STATUS = COMMAND | 0x13
EAGAIN = 11

TABLE = {
    "chip": "TSL2591",
    "bus": "I2C",
    "address": 0x29,
    "identity": ((COMMAND | 0x12, 1, 0xFF, 0x50),),
    "setup": (),
    "settle_ms": 0,
    "data": (COMMAND | 0x14, 4),
    "fields": (("lux", "lx", 0, 200000), ("full", "counts", 0, 65535), ("infrared", "counts", 0, 65535)),
    "source": "ams TSL2591 v2-04 (2018), registers 0x00 to 0x17 and gain of the ADC channels; lux: see `lux`",
}
# name: (bits AGAIN, gain of channel 0, of channel 1), typical values of the datasheet
GAINS = {"low": (0, 1, 1), "medium": (1, 24.5, 24.5), "high": (2, 400, 400), "max": (3, 9200, 9900)}
_BY_GAIN = ("low", "medium", "high", "max")
DEVICE_FACTOR = 408  # lux per (count / (ms x gain)), for the bare chip


def lux(full, infrared, integration_ms, gains):
    """Lux from the counts of both channels; 0 where there is no light at all.

    The datasheet has no formula; this is the one, with the factor 408, that ams has given to the makers of boards for
    this chip (Adafruit's driver calls it TSL2591_LUX_DF): (ch0 - ch1) x (1 - ch1 / ch0) / counts per lux.
    """
    ch0 = full / gains[0]
    ch1 = infrared / gains[1]
    if ch0 <= ch1:  # nothing but infrared and noise
        return 0.0
    return (ch0 - ch1) * (1 - ch1 / ch0) * DEVICE_FACTOR / integration_ms


class TSL2591(Chip):
    """Lux, and the counts of both channels; `lux` is None where the light was too much for gain and integration time.

    `gain` is "low", "medium", "high", "max" or "auto": then a sample that was too bright or too dark sets the gain of
    the next one. `integration_ms` is 100 to 600, by hundreds.
    """

    TABLE = TABLE

    def __init__(self, bus, address=None, field=None, sleep=None, gain="auto", integration_ms=100):
        super().__init__(bus, address, field, sleep)
        self._time = choice("integration_ms", {100 * (n + 1): n for n in range(6)}, integration_ms)
        choice("gain", {"auto": 0, "low": 0, "medium": 0, "high": 0, "max": 0}, gain)
        self._auto = gain == "auto"
        self.gain = "medium" if self._auto else gain
        self.integration_ms = integration_ms
        # the ADC's end of the scale: it counts to 36863 in 100 ms
        self._full_scale = 36863 if integration_ms == 100 else 65535

    def begin(self):
        """Power on, integrate, and wait for the first integration."""
        self._start()
        self.sleep(self.integration_ms * 6 // 5)  # its oscillator may be slow by 8 %

    def _start(self):
        self.write(ENABLE, 0x01)  # off for a moment, so that no integration is of two gains
        self.write(CONTROL, GAINS[self.gain][0] << 4 | self._time)
        self.write(ENABLE, 0x03)

    def read(self):
        """The counts of both channels. OSError(EAGAIN) while the first integration is not over."""
        if not self.register(STATUS)[0] & 0x01:
            raise OSError(EAGAIN, "TSL2591: no integration is over yet")
        return super().read()

    def convert(self, data):
        """Two counts of 16 bits, the lower byte first."""
        full = data[1] << 8 | data[0]
        infrared = data[3] << 8 | data[2]
        saturated = full >= self._full_scale or infrared >= self._full_scale
        value = None
        if not saturated:
            value = round(lux(full, infrared, self.integration_ms, GAINS[self.gain][1:]), 4)
        if self._auto:
            self._adapt(full, saturated)
        return (value, full, infrared)

    def _adapt(self, full, saturated):
        """Take another gain from the next sample on, where this one is wrong for the light there is."""
        at = _BY_GAIN.index(self.gain)
        if saturated and at > 0:
            at -= 1
        elif at < 3 and full * GAINS[_BY_GAIN[at + 1]][1] < 0.5 * self._full_scale * GAINS[self.gain][1]:
            at += 1  # half of the scale is left for what becomes brighter
        else:
            return
        self.gain = _BY_GAIN[at]
        self._start()


def probe(options: dict):
    """A probe of {lux, full, infrared}, or of one `field`; bus settings, `gain` ("auto"), `integration_ms` (100)."""
    return TSL2591(
        open_i2c(options),
        options.get("address"),
        options.get("field"),
        gain=options.get("gain", "auto"),
        integration_ms=options.get("integration_ms", 100),
    ).sample
