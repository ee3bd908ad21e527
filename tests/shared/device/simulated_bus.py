"""Buses without hardware: chips as tables of registers, a 1-Wire bus with thermometers."""

EIO = 5


class Chip:
    """A chip at `address` with registers {number: bytes}; a wide register stands under its own number."""

    def __init__(self, address, registers):
        self.address = address
        self.registers = registers
        self.written = []  # (register, bytes), in order
        self.on_write = None  # called with (register, bytes)

    def read(self, register, n):
        """`n` bytes from `register` on."""
        data = b""
        while len(data) < n:
            data += bytes(self.registers[register])
            register += 1 if len(self.registers[register]) == 1 else len(self.registers[register])
        return data[:n]

    def write(self, register, data):
        """Note it, and keep it."""
        self.written.append((register, bytes(data)))
        self.registers[register] = bytes(data)
        if self.on_write:
            self.on_write(register, bytes(data))


class I2C:
    """machine.I2C with these chips; `silent` makes it answer nobody."""

    def __init__(self, *chips):
        self.chips = {chip.address: chip for chip in chips}
        self.silent = False

    def _chip(self, address):
        if self.silent or address not in self.chips:
            raise OSError(EIO, "no acknowledge")
        return self.chips[address]

    def readfrom_mem_into(self, address, register, buffer):
        buffer[:] = self._chip(address).read(register, len(buffer))

    def writeto_mem(self, address, register, data):
        self._chip(address).write(register, data)


class SPI:
    """machine.SPI with one chip; its chip-select is `cs`. `write_bit` is what a write must not have set."""

    def __init__(self, chip, more=0, clear=0):
        self.chip = chip
        self.more = more
        self.clear = clear  # a chip whose registers have bit 7 set writes with that bit cleared
        self.cs = Level()
        self.hangs = None  # the byte that a wire without a chip reads as
        self._register = None

    def write(self, data):
        assert self.cs.level == 0
        if data[0] & 0x80 and len(data) == 1:
            self._register = data[0] & ~self.more & ~(0 if self.clear else 0x80)
            self._many = bool(data[0] & self.more)
        else:
            self.chip.write(data[0] | self.clear, data[1:])

    def readinto(self, buffer):
        assert self.cs.level == 0 and (not self.more or self._many == (len(buffer) > 1))
        if self.hangs is not None:
            buffer[:] = bytes((self.hangs,)) * len(buffer)
            return
        buffer[:] = self.chip.read(self._register, len(buffer))


class Level:
    """A pin."""

    def __init__(self, level=0):
        self.level = level
        self.writes = []

    def value(self, x=None):
        if x is None:
            return self.level
        self.level = x
        self.writes.append(x)


class OneWire:
    """onewire.OneWire with thermometers {rom: scratchpad of 9 bytes}; converts when told."""

    def __init__(self, thermometers):
        self.thermometers = thermometers
        self.silent = False
        self.converted = []  # roms
        self.resolutions = {}
        self._rom = None
        self._sent = b""

    def scan(self):
        return sorted(self.thermometers)

    def reset(self):
        self._sent = b""
        return not self.silent and bool(self.thermometers)

    def select_rom(self, rom):
        self._rom = bytes(rom)

    def writebyte(self, byte):
        self._sent += bytes((byte,))
        if self._sent == b"\x44":
            self.converted.append(self._rom)
        if self._sent[:1] == b"\x4e" and len(self._sent) == 4:
            self.resolutions[self._rom] = self._sent[3]

    def readinto(self, buffer):
        assert self._sent == b"\xbe"
        # nobody pulls the wire low: ones
        buffer[:] = self.thermometers.get(self._rom, b"\xff" * 9)
