"""A strip of NeoPixels (WS2812) that shows the events of a flow."""


class NeoPixelOutput:
    """Shows each event on `strip`, MicroPython's `neopixel.NeoPixel` or one of Adafruit's: `strip[i] = (r, g, b)`.

    A value is a colour [r, g, b] for all pixels, a list of colours from the first pixel on (the others go dark), or
    what `colour(value)` makes into one of these. Each part is 0 to 255, times `brightness` (0 to 1). The strip is
    written once for an event, and only when something has changed. When the stream ends it goes dark, unless `keep`.
    ValueError or TypeError for what is no colour: that event shows nothing.
    """

    def __init__(self, strip, colour=None, brightness=1, keep=False):
        if not 0 <= brightness <= 1:
            raise ValueError("brightness is 0 to 1, not %r" % (brightness,))
        self.strip = strip
        self._colour = colour
        self._brightness = brightness
        self._keep = keep
        self._shown = None

    def on_next(self, x) -> None:
        """Show it."""
        value = getattr(x, "val", x)
        if self._colour:
            value = self._colour(value)
        n = len(self.strip)
        if len(value) and not isinstance(value[0], int):
            if len(value) > n:
                raise ValueError("%d colours for %d pixels" % (len(value), n))
            shown = [self._part(colour) for colour in value]
            shown += [(0, 0, 0)] * (n - len(shown))
        else:
            shown = [self._part(value)] * n
        self._show(shown)

    def on_completed(self) -> None:
        """The stream has ended."""
        if not self._keep:
            self._show([(0, 0, 0)] * len(self.strip))

    def on_error(self, e) -> None:
        """The stream has failed."""
        self.on_completed()

    def _part(self, colour):
        if len(colour) != 3 or [c for c in colour if not isinstance(c, int) or not 0 <= c <= 255]:
            raise ValueError("a colour is [r, g, b], each 0 to 255, not %r" % (colour,))
        return tuple([int(c * self._brightness) for c in colour])

    def _show(self, shown):
        if shown == self._shown:
            return
        for i, colour in enumerate(shown):
            self.strip[i] = colour
        (getattr(self.strip, "write", None) or self.strip.show)()  # Adafruit's is told to show
        self._shown = shown
