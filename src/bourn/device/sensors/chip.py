"""A chip on a bus is a table: where it answers, how it says who it is, and what its values mean.

`bus` is an I2C bus as MicroPython's `machine.I2C`: `readfrom_mem_into(address, register, buffer)` and
`writeto_mem(address, register, data)`. linux.py has one for Linux, spi.py one for chips that are wired to SPI.

    TABLE = {
        "chip": "MCP9808",                                  its name, for messages and for docs/sensors.md
        "bus": "I2C",
        "address": 0x18,                                    where it answers unless told otherwise
        "identity": ((0x06, 2, 0xFFFF, 0x0054), ...),       register, bytes (big-endian), mask, what has to be there
        "setup": ((0x08, 0x03), ...),                       register, byte: written in this order
        "settle_ms": 250,                                   from there to the first value that counts
        "data": (0x05, 2),                                  register, bytes: one value of each field
        "fields": (("temperature", "°C", -40, 125), ...),   name, unit, least and greatest value it can measure
        "source": "...",                                    the document and sections that all this was taken from
    }
"""

from bourn._compat import Clock

EIO = 5  # errno, the same on every port


class Chip:
    """What all chips share: `sample()` sets the chip up when needed, reads it, and checks what it says.

    A sample is a dict {field: value}, or the value of `field` alone. OSError when the bus does not answer, when another
    chip is there, or when a value is out of the chip's range; the next sample then sets the chip up again, for it may
    have been without power. Bytes that are all the same are believed only from a chip that still says who it is and is
    still set up: so answers a wire that hangs, and a chip that has had no power for a moment. `sleep(ms)` is used only
    where a chip needs time.
    """

    TABLE: dict = {}

    def __init__(self, bus, address=None, field=None, sleep=None):
        table = self.TABLE
        names = [row[0] for row in table["fields"]]
        if field is not None and field not in names:
            raise ValueError("%s has no field %r; it has %s" % (table["chip"], field, ", ".join(names)))
        self.bus = bus
        self.address = table["address"] if address is None else address
        self.field = field
        self.sleep = sleep or Clock().sleep
        self._ready = False
        self._data = bytearray(table["data"][1])

    def sample(self):
        """One measurement, in the units of the table."""
        try:
            if not self._ready:
                self._identify()
                self.begin()
                self._ready = True
            values = self.convert(self.read())
            for i, (name, unit, low, high) in enumerate(self.TABLE["fields"]):
                if values[i] is not None and not low <= values[i] <= high:
                    raise OSError(EIO, "%s: a %s of %s %s cannot be" % (self.TABLE["chip"], name, values[i], unit))
        except Exception:  # of the bus, or for want of memory: nobody knows how far it has come
            self._ready = False
            raise
        if self.field is None:
            return {row[0]: values[i] for i, row in enumerate(self.TABLE["fields"])}
        for i, row in enumerate(self.TABLE["fields"]):
            if row[0] == self.field:
                return values[i]

    # -- what a chip may do in its own way

    def begin(self):
        """Set the chip up: what the table says."""
        for register, byte in self.TABLE["setup"]:
            self.write(register, byte)
        self.sleep(self.TABLE["settle_ms"])

    def read(self):
        """The bytes of one measurement."""
        self.bus.readfrom_mem_into(self.address, self.TABLE["data"][0], self._data)
        if min(self._data) == max(self._data):
            self._identify()
            for register, byte in self.TABLE["setup"]:
                if self.register(register)[0] != byte:
                    raise OSError(EIO, "%s: it has been without power" % self.TABLE["chip"])
        return self._data

    def convert(self, data):
        """The values of all fields, in the order of the table, from the bytes of one measurement."""
        raise NotImplementedError

    # -- registers

    def write(self, register, byte):
        """Write one register."""
        self.bus.writeto_mem(self.address, register, bytes((byte,)))

    def register(self, register, size=1):
        """The `size` bytes from `register` on."""
        data = bytearray(size)
        self.bus.readfrom_mem_into(self.address, register, data)
        return data

    def _identify(self):
        for register, size, mask, expected in self.TABLE["identity"]:
            found = int.from_bytes(self.register(register, size), "big")
            if found & mask != expected:
                raise OSError(
                    EIO,
                    "no %s at address 0x%02x: register 0x%02x says 0x%x, not 0x%x; look at wiring and address"
                    % (self.TABLE["chip"], self.address, register, found & mask, expected),
                )


def signed(value, bits):
    """`value`, whose lowest `bits` bits are a two's complement, as a number: `signed(0xFF, 8)` is -1."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def choice(name, table, key):
    """`table[key]`. ValueError naming what there is when `key` is not in it."""
    if key not in table:
        raise ValueError("%s is one of %s, not %r" % (name, ", ".join([str(one) for one in sorted(table)]), key))
    return table[key]
