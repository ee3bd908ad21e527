"""The thermometer inside the board's own chip."""

TABLE = {
    "chip": "ESP32, RP2040, RP2350, Linux",
    "bus": "inside",
    "fields": (("temperature", "°C", -40, 125),),
    "source": "RP2040 datasheet, 4.9.5; MicroPython, esp32.mcu_temperature; Linux, sysfs-api-thermal, temp",
}


def rp2_degrees(reading):
    """Degrees Celsius of a 16-bit reading of channel 4, at 3.3 V: 27 °C at 0.706 V, 1.721 mV less a degree."""
    return 27 - (reading * 3.3 / 65535 - 0.706) / 0.001721


def probe(options: dict):
    """A probe of degrees Celsius: of the chip on a board, of the first thermal zone on Linux (`path`)."""
    try:
        import esp32

        if hasattr(esp32, "mcu_temperature"):
            return esp32.mcu_temperature
        return lambda: round((esp32.raw_temperature() - 32) / 1.8, 1)  # the first ESP32 says degrees Fahrenheit
    except ImportError:
        path = options.get("path", "/sys/class/thermal/thermal_zone0/temp")
    try:
        from machine import ADC

        adc = ADC(ADC.CORE_TEMP)
        return lambda: round(rp2_degrees(adc.read_u16()), 2)
    except (ImportError, AttributeError):
        from bourn.device.sensors.file import FileProbe

        return FileProbe(path, 0.001).sample
