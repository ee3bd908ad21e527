"""The level of a pin."""

from bourn.device.sensors.bus import open_pin

TABLE = {
    "chip": "a pin",
    "bus": "GPIO",
    "fields": (("level", "0 or 1", 0, 1),),
    "source": "MicroPython, machine.Pin.value; gpiozero, DigitalInputDevice",
}


def probe(options: dict):
    """A probe of 0 or 1 at `pin`; `pull` "up" or "down", `invert` (false) for contacts that close to ground."""
    pin = open_pin(options)
    if options.get("invert"):
        return lambda: 1 - pin.value()
    return lambda: int(pin.value())
