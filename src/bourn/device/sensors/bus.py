"""The buses and pins that settings name: MicroPython's `machine` where it has them, Linux's otherwise."""


def open_i2c(options: dict):
    """The I2C bus of `options`: the object `i2c` itself, or the one that `bus`, `scl`, `sda` and `freq` tell.

    On a board `machine.I2C(bus, ...)`: `bus` 0, `freq` 100000 Hz, pins as the port's own unless given (an ESP8266 has
    none). On Linux `bus` is the number N of /dev/i2c-N (1). OSError if it cannot be opened; ValueError where pins are
    lacking; ImportError saying what to install.
    """
    if options.get("i2c") is not None:
        return options["i2c"]
    try:
        from machine import I2C, Pin
    except ImportError:
        from bourn.device.sensors.linux import LinuxI2C

        return LinuxI2C(options.get("bus", 1))
    import machine

    settings = {name: Pin(options[name]) for name in ("scl", "sda") if name in options}
    settings["freq"] = options.get("freq", 100000)
    soft = I2C is getattr(machine, "SoftI2C", None)  # an ESP8266's has neither a number nor pins of its own
    if soft and len(settings) < 3:
        raise ValueError("give the pins of the bus as `scl` and `sda`")
    return I2C(**settings) if soft else I2C(options.get("bus", 0), **settings)


def open_pin(options: dict, out: bool = False):
    """The pin of `options`: the object `pin` itself if it has `value`, or the one of that number.

    `pull` is "up", "down" or left out. On a board `machine.Pin`; on Linux by gpiozero, with Broadcom's numbers.
    ValueError where `pin` or `pull` is wrong; ImportError saying what to install.
    """
    pin = options.get("pin")
    if hasattr(pin, "value"):
        return pin
    pull = options.get("pull")
    if pin is None or pull not in (None, "up", "down"):
        raise ValueError('give the number of a pin as `pin`, and as `pull` "up", "down" or nothing')
    try:
        from machine import Pin
    except ImportError:
        from bourn.device.sensors.linux import LinuxPin

        return LinuxPin(pin, out, pull)
    if out:
        return Pin(pin, Pin.OUT)
    if pull:
        found = getattr(Pin, "PULL_" + pull.upper(), None)
        if found is None:
            raise ValueError("this port's pins have no pull %r; wire a resistor" % pull)  # an ESP8266: up only
        return Pin(pin, Pin.IN, found)
    return Pin(pin, Pin.IN)
