"""DS18B20 and DS18S20: thermometers on a 1-Wire bus, and the same ones as Linux's kernel reads them."""

from bourn._compat import Clock
from bourn.device.sensors.chip import EIO, choice, signed

TABLE = {
    "chip": "DS18B20, DS18S20",
    "bus": "1-Wire",
    "fields": (("temperature", "°C", -55, 125),),
    "source": "Maxim DS18B20 19-7487 rev. 6, table 1, figures 4, 8, 9 and 10; DS18S20 19-5474, figure 2 and CRC",
}
CONVERT = 0x44
WRITE_SCRATCHPAD = 0x4E
READ_SCRATCHPAD = 0xBE
DS18S20_FAMILY = 0x10
CONVERSIONS = {9: 94, 10: 188, 11: 375, 12: 750}  # bits: longest conversion in ms (table 2 of the DS18B20)
POWER_UP = 85.0  # what the register holds until the first conversion (table 1)
NOBODY = "ds18x20: nobody answers on the wire; look at the wiring and the pull-up resistor"


def crc8(data):
    """The CRC of 1-Wire (x^8 + x^5 + x^4 + 1, bits in reverse): 0 over data that ends with its own CRC."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
    return crc


def degrees(scratchpad, family):
    """Degrees Celsius of the 9 bytes of a scratchpad. OSError when its CRC is wrong or it is all zeros."""
    if crc8(scratchpad) or scratchpad == bytes(9):  # the CRC of zeros is 0: a bus that is shorted
        raise OSError(EIO, "ds18x20: the checksum is wrong; look at the wiring and the pull-up resistor")
    raw = signed(scratchpad[1] << 8 | scratchpad[0], 16)
    if family != DS18S20_FAMILY:
        return (raw & ~((1 << (3 - (scratchpad[4] >> 5 & 3))) - 1)) / 16  # bits below the resolution are undefined
    if scratchpad[7] != 16:
        return raw / 2
    return (raw >> 1) - 0.25 + (16 - scratchpad[6]) / 16


class DS18x20:
    """Degrees Celsius of the thermometer `rom` (8 bytes) on `wire`, MicroPython's `onewire.OneWire`.

    Without `rom` there is to be one alone on the wire. `bits` 9 to 12 is the resolution, a conversion takes 94 to 750
    ms, which `sleep` waits. OSError when nobody answers, when the CRC is wrong, and for 85 °C after power-up: that is
    taken for a measurement only when the one before was above 80 °C.
    """

    def __init__(self, wire, rom=None, bits=12, sleep=None):
        self.wire = wire
        self.rom = rom
        self._bits = bits
        self._conversion_ms = choice("bits", CONVERSIONS, bits)
        self._sleep = sleep or Clock().sleep
        self._found = None
        self._before = None
        self._data = bytearray(9)

    def sample(self):
        """Convert, wait, read and check."""
        try:
            if self._found is None:
                self._find()
            self._begin(CONVERT)
            self._sleep(self._conversion_ms)
            self._begin(READ_SCRATCHPAD)
            self.wire.readinto(self._data)
            value = degrees(bytes(self._data), self._found[0])
        except Exception:  # of the wire, or for want of memory: its resolution may not have been set
            self._found = None
            raise
        before, self._before = self._before, value
        if value == POWER_UP and (before is None or before < 80):
            self._before = before
            self._found = None  # it has lost its resolution as well
            raise OSError(EIO, "ds18x20: 85 °C is what it says after power-up; look at its supply")
        return value

    def _find(self):
        found = self.rom
        if found is None:
            all_of_them = self.wire.scan()
            if not all_of_them:
                raise OSError(EIO, NOBODY)
            if len(all_of_them) != 1:
                names = ", ".join([bytes(rom).hex() for rom in all_of_them])
                raise OSError(EIO, "%d devices on the wire (%s); name one as `rom`" % (len(all_of_them), names))
            found = all_of_them[0]
        if crc8(found):
            raise OSError(EIO, "ds18x20: %s is no ROM code, its checksum is wrong" % bytes(found).hex())
        self._found = found
        if found[0] != DS18S20_FAMILY:
            self._begin(WRITE_SCRATCHPAD)
            for byte in (0x7D, 0x80, (self._bits - 9) << 5 | 0x1F):  # alarms at their ends; the resolution
                self.wire.writebyte(byte)

    def _begin(self, command):
        if not self.wire.reset():
            raise OSError(EIO, NOBODY)
        self.wire.select_rom(self._found)
        self.wire.writebyte(command)


class KernelThermometer:
    """The same from Linux's w1-therm: the file `w1_slave` of one device, whose CRC the kernel has checked."""

    def __init__(self, path):
        self.path = path
        self._before = None

    def sample(self):
        """Degrees Celsius; the kernel measures when the file is read. OSError as for DS18x20."""
        with open(self.path) as file:
            text = file.read()
        at = text.rfind("t=")
        # the CRC of zeros is 0: a bus that is shorted, which the kernel calls right
        if "YES" not in text or at < 0 or text.startswith("00 00 00 00 00 00 00 00 00"):
            raise OSError(EIO, "ds18x20: %s says the checksum is wrong" % self.path)
        value = int(text[at + 2 :].strip()) / 1000
        before, self._before = self._before, value
        if value == POWER_UP and (before is None or before < 80):
            self._before = before
            raise OSError(EIO, "ds18x20: 85 °C is what it says after power-up; look at its supply")
        return value


def probe(options: dict):
    """A probe of degrees Celsius. On a board `pin`, `rom` (16 hex digits), `bits` (12); on Linux `rom` as in sysfs.

    There it is the folder's name below /sys/bus/w1/devices, "28-3c01d607f3a1", or `path` is the file itself.
    """
    wire = options.get("wire")
    if wire is None:
        try:
            from machine import Pin
            from onewire import OneWire
        except ImportError:
            rom = options.get("rom")
            path = options.get("path") or (rom and "/sys/bus/w1/devices/%s/w1_slave" % rom)
            if not path:
                raise ValueError('name the thermometer as `rom`, like "28-3c01d607f3a1" in /sys/bus/w1/devices')
            return KernelThermometer(path).sample
        if options.get("pin") is None:
            raise ValueError("give the number of the wire's pin as `pin`")
        wire = OneWire(Pin(options["pin"]))
    rom = options.get("rom")
    return DS18x20(wire, bytes.fromhex(rom) if rom else None, options.get("bits", 12)).sample
