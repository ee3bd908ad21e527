"""A chip's registers over SPI with the methods of an I2C bus, so that one driver serves both."""


class SpiRegisters:
    """`spi` (machine.SPI: `write`, `readinto`) and the chip-select pin `cs` as a bus for `Chip`; addresses are ignored.

    `read` is what is set in the register's byte to read, `more` to read several bytes, `write_mask` what stays of it to
    write. SPI has no acknowledge: that nobody answers shows when the chip is asked who it is.
    """

    def __init__(self, spi, cs, read=0x80, more=0x00, write_mask=0xFF):
        self._spi = spi
        self._cs = cs
        self._read = read
        self._more = more
        self._write_mask = write_mask
        cs.value(1)

    def readfrom_mem_into(self, address, register, buffer):
        """Fill `buffer` with what stands from `register` on."""
        self._cs.value(0)
        try:
            self._spi.write(bytes((register | self._read | (self._more if len(buffer) > 1 else 0),)))
            self._spi.readinto(buffer)
        finally:
            self._cs.value(1)

    def writeto_mem(self, address, register, data):
        """Write `data` from `register` on."""
        self._cs.value(0)
        try:
            self._spi.write(bytes((register & self._write_mask,)) + bytes(data))
        finally:
            self._cs.value(1)
