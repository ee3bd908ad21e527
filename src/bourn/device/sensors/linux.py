"""The buses and pins of a Linux board with the methods of MicroPython's, so that drivers run on both."""

import errno


class LinuxI2C:
    """/dev/i2c-`bus` (a number or a path) with `machine.I2C`'s methods, by smbus2; each is one transfer on the bus.

    `smbus` is an open smbus2.SMBus to use instead. OSError when there is no such bus or nobody answers.
    """

    def __init__(self, bus=1, smbus=None):
        try:
            import smbus2
        except ImportError:
            raise ImportError("I2C on Linux needs smbus2: pip install 'bourn[sensors]'")
        self._message = smbus2.i2c_msg
        if smbus is None:
            try:
                smbus = smbus2.SMBus(bus)
            except FileNotFoundError:
                raise OSError(errno.ENODEV, "there is no I2C bus %s; enable it (raspi-config), or name another" % bus)
            except PermissionError:
                how = "`sudo usermod -aG i2c $USER`, then log out and in"
                raise OSError(errno.EACCES, "you may not use the I2C bus %s: %s" % (bus, how))
        self._smbus = smbus

    def writeto(self, address, data):
        """Write `data` to the chip at `address`; how many bytes it took."""
        self._smbus.i2c_rdwr(self._message.write(address, data))
        return len(data)

    def readfrom_into(self, address, buffer):
        """Fill `buffer` from the chip at `address`."""
        message = self._message.read(address, len(buffer))
        self._smbus.i2c_rdwr(message)
        buffer[:] = bytes(message)

    def readfrom_mem_into(self, address, register, buffer):
        """Fill `buffer` with what stands from `register` on, by a repeated start."""
        message = self._message.read(address, len(buffer))
        self._smbus.i2c_rdwr(self._message.write(address, (register,)), message)
        buffer[:] = bytes(message)

    def writeto_mem(self, address, register, data):
        """Write `data` from `register` on."""
        self._smbus.i2c_rdwr(self._message.write(address, bytes((register,)) + bytes(data)))

    def close(self):
        """Give the bus back."""
        self._smbus.close()


class LinuxPin:
    """A pin, by its Broadcom number, with `value()` of machine.Pin, by gpiozero: `value()` reads, `value(x)` writes.

    `pull` is "up", "down" or None.
    """

    def __init__(self, number, out=False, pull=None):
        try:
            import gpiozero
        except ImportError:
            raise ImportError("pins on Linux need gpiozero: pip install 'bourn[sensors]'")
        self._inverted = pull == "up"  # gpiozero then calls the low level active
        if out:
            self._device = gpiozero.DigitalOutputDevice(number)
            return
        up = {"up": True, "down": False, None: None}[pull]
        # without a pull gpiozero wants to be told which level is active: a high one is 1, as on a board
        self._device = gpiozero.DigitalInputDevice(number, pull_up=up, active_state=True if up is None else None)

    def value(self, x=None):
        """The level, 0 or 1; with `x` set it."""
        if x is not None:
            self._device.value = 1 if x else 0
            return None
        level = int(self._device.value)
        return 1 - level if self._inverted else level

    def close(self):
        """Give the pin back."""
        self._device.close()
