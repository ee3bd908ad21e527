"""A voltage, and what stands for one: the analog input of a board."""

TABLE = {
    "chip": "machine.ADC, or any with read_u16()",
    "bus": "analog",
    "fields": (("voltage", "V", 0, 3.3),),
    "source": "MicroPython, machine.ADC.read_u16: 0 to 65535 over the reference voltage",
}


class AnalogInput:
    """`scale` x volts + `offset`, the mean of `samples` readings; full scale is `reference` volts."""

    def __init__(self, adc, reference=3.3, scale=1, offset=0, samples=1):
        if samples < 1:
            raise ValueError("samples must be at least 1, not %r" % (samples,))
        self.adc = adc
        self._factor = reference * scale / (65535 * samples)
        self._offset = offset
        self._samples = samples

    def sample(self):
        """One value."""
        total = 0
        for _ in range(self._samples):
            total += self.adc.read_u16()
        return round(total * self._factor + self._offset, 6)


def probe(options: dict):
    """A probe of volts at `pin`; `reference` (3.3), `scale` (1), `offset` (0), `samples` (1)."""
    adc = options.get("adc")
    if adc is None:
        try:
            from machine import ADC
        except ImportError:
            raise ImportError("no machine.ADC here: on Linux read the converter's file with kind `file`")
        if options.get("pin") is None:
            raise ValueError("give the number of a pin as `pin`")
        adc = ADC(options["pin"])
    settings = {name: options[name] for name in ("reference", "scale", "offset", "samples") if name in options}
    return AnalogInput(adc, **settings).sample
