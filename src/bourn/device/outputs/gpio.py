"""A pin that follows the events of a flow."""

from bourn.device.sensors.bus import open_pin


class PinOutput:
    """Sets `pin` to each event's value: high for what is true, low for what is not; `invert` the other way round.

    Takes SensorEvents and plain values. When the stream ends, of either kind, the pin goes to `at_end` (0 or 1; None:
    it stays): a pump must not run on because its sensor has died.
    """

    def __init__(self, pin, invert=False, at_end=0):
        self.pin = pin
        self._invert = invert
        self._at_end = at_end

    def on_next(self, x) -> None:
        """Set the pin."""
        self._set(getattr(x, "val", x))

    def on_completed(self) -> None:
        """The stream has ended."""
        if self._at_end is not None:
            self._set(self._at_end)

    def on_error(self, e) -> None:
        """The stream has failed."""
        self.on_completed()

    def _set(self, value):
        self.pin.value(1 if bool(value) != self._invert else 0)


def pin_output(pin, **options) -> PinOutput:
    """A PinOutput at the pin of that number, on a board or (by gpiozero) on Linux."""
    return PinOutput(open_pin({"pin": pin}, out=True), **options)
