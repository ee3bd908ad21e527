"""A voltage, and what stands for one: the analog input of a board."""

TABLE = {
    "chip": "machine.ADC, or any with read_u16()",
    "bus": "analog",
    "fields": (("voltage", "V", 0, 3.3),),
    "source": "MicroPython, machine.ADC: read_u16, 0 to 65535 over the reference voltage; read_uv, calibrated (ESP32)",
}


class AnalogInput:
    """`scale` x volts + `offset`, the mean of `samples` readings; full scale is `reference` volts.

    Without `reference` an ESP32 says by itself how many microvolts there are, and elsewhere it is 3.3.
    """

    def __init__(self, adc, reference=None, scale=1, offset=0, samples=1):
        if samples < 1:
            raise ValueError("samples must be at least 1, not %r" % (samples,))
        self.adc = adc
        if reference is None and hasattr(adc, "read_uv"):
            self._read = adc.read_uv
            self._factor = scale / (1000000 * samples)
        else:
            self._read = adc.read_u16
            self._factor = (3.3 if reference is None else reference) * scale / (65535 * samples)
        self._offset = offset
        self._samples = samples

    def sample(self):
        """One value."""
        total = 0
        for _ in range(self._samples):
            total += self._read()
        return round(total * self._factor + self._offset, 6)


def probe(options: dict):
    """A probe of volts at `pin`; `reference` (3.3; an ESP32 knows), `scale` (1), `offset` (0), `samples` (1)."""
    adc = options.get("adc")
    if adc is None:
        try:
            from machine import ADC
        except ImportError:
            raise ImportError("no machine.ADC here: on Linux read the converter's file with kind `file`")
        if options.get("pin") is None:
            raise ValueError("give the number of a pin as `pin`")
        pin = options["pin"]
        # an ESP32's takes 1 V at most unless told otherwise
        adc = ADC(pin, atten=ADC.ATTN_11DB) if hasattr(ADC, "ATTN_11DB") else ADC(pin)
    settings = {name: options[name] for name in ("reference", "scale", "offset", "samples") if name in options}
    return AnalogInput(adc, **settings).sample
