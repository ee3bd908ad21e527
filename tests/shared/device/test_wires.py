# heap: 96k
"""Sensors on wires of their own, in files and by others' drivers; outputs."""

import os
import sys

from simulated_bus import Level, OneWire

from bourn._compat.system import random_bytes
from bourn.device.outputs.gpio import PinOutput
from bourn.device.outputs.neopixel import NeoPixelOutput
from bourn.device.sensors import make_sensor
from bourn.device.sensors.bus import open_i2c
from bourn.device.sensors.chip_temperature import rp2_degrees
from bourn.device.sensors.dht import DHT, decode
from bourn.device.sensors.ds18x20 import DS18x20, KernelThermometer, crc8, degrees
from bourn.device.sensors.probe import Probe
from bourn.things import OutputThing, SensorEvent

NAME = "/tmp/bourn-test-wire-%02x%02x%02x%02x" % tuple(random_bytes(4))


def raises(error, function, *args, **options):
    try:
        function(*args, **options)
    except error as e:
        return str(e)
    raise AssertionError("no %s" % error.__name__)


def with_crc(data):
    """`data` and its CRC, by long division of the bits: another way than the driver's."""
    polynomial = 0b100110001
    bits = [byte >> i & 1 for byte in data for i in range(8)] + [0] * 8  # the lowest bit comes first
    for i in range(len(bits) - 8):
        if bits[i]:
            for j in range(9):
                bits[i + j] ^= polynomial >> (8 - j) & 1
    return bytes(data) + bytes((sum([bit << i for i, bit in enumerate(bits[-8:])]),))


def scratchpad(raw, bits=12, remain=0x0C, per_degree=0x10):
    head = (raw & 0xFFFF).to_bytes(2, "little")
    return with_crc(head + bytes((0x4B, 0x46, (bits - 9) << 5 | 0x1F, 0xFF, remain, per_degree)))


ROM = with_crc(bytes((0x28, 1, 2, 3, 4, 5, 6)))


# DS18x20


def test_the_crc_of_the_datasheets_example():
    # Maxim's application note 27 works it out for the ROM code 02 1C B8 01 00 00 00: A2
    assert crc8(bytes((0x02, 0x1C, 0xB8, 0x01, 0, 0, 0))) == 0xA2 == with_crc(b"\x02\x1c\xb8\x01\0\0\0")[-1]
    assert crc8(ROM) == 0
    for bit in range(64):
        wrong = bytearray(ROM)
        wrong[bit // 8] ^= 1 << bit % 8
        assert crc8(wrong)


def test_ds18b20_temperatures_of_its_table():
    # Maxim 19-7487, table 1
    for raw, expected in (
        (0x07D0, 125),
        (0x0550, 85),
        (0x0191, 25.0625),
        (0x00A2, 10.125),
        (0x0008, 0.5),
        (0x0000, 0),
        (0xFFF8, -0.5),
        (0xFF5E, -10.125),
        (0xFE6F, -25.0625),
        (0xFC90, -55),
    ):
        assert degrees(scratchpad(raw), 0x28) == expected, raw
    assert degrees(scratchpad(0x0197, bits=9), 0x28) == 25  # three bits are undefined then
    assert degrees(scratchpad(0xFF5F, bits=10), 0x28) == -10.25


def test_ds18s20_temperatures_of_its_table():
    # its datasheet's table Temperature/Data Relationship (00AA is 85, 0032 25, 0001 0.5, FFCE -25, FF92 -55), by the
    # equation there: TEMP_READ (the lowest bit cut off) - 0.25 + (COUNT_PER_C - COUNT_REMAIN) / COUNT_PER_C
    for raw, expected in ((0x00AA, 85), (0x0032, 25), (0x0001, 0), (0x0000, 0), (0xFFCE, -25), (0xFF92, -55)):
        assert degrees(scratchpad(raw), 0x10) == expected, raw
    assert degrees(scratchpad(0x0033, remain=4), 0x10) == 25 - 0.25 + 0.75
    assert degrees(scratchpad(0x0033, per_degree=0), 0x10) == 25.5  # a clone without counters


def test_ds18x20_converts_waits_and_reads():
    for bits, ms in ((9, 94), (10, 188), (11, 375), (12, 750)):
        waited = []
        wire = OneWire({ROM: scratchpad(0x0191, bits)})
        sensor = DS18x20(wire, bits=bits, sleep=waited.append)
        assert 25 <= sensor.sample() <= 25.0625 and 25 <= sensor.sample() <= 25.0625
        assert waited == [ms, ms] and wire.converted == [ROM, ROM]
        assert wire.resolutions == {ROM: (bits - 9) << 5 | 0x1F}
    raises(ValueError, DS18x20, None, bits=8)


def test_ds18x20_a_wrong_checksum_and_a_silent_bus():
    wire = OneWire({ROM: scratchpad(0x0191)})
    sensor = DS18x20(wire, sleep=lambda ms: None)
    good = wire.thermometers[ROM]
    for bit in range(72):
        wrong = bytearray(good)
        wrong[bit // 8] ^= 1 << bit % 8
        wire.thermometers[ROM] = bytes(wrong)
        assert "checksum" in raises(OSError, sensor.sample)
    for dead in (bytes(9), b"\xff" * 9):  # shorted, and nobody there
        wire.thermometers[ROM] = dead
        assert "checksum" in raises(OSError, sensor.sample)
    wire.thermometers[ROM] = good
    assert sensor.sample() == 25.0625
    wire.silent = True
    assert "nobody" in raises(OSError, sensor.sample)
    said = raises(OSError, DS18x20(OneWire({}), sleep=lambda ms: None).sample)
    assert "nobody answers" in said and "pull-up" in said and "rom" not in said, said


def test_ds18x20_that_is_pulled_off_in_the_middle_is_found_again():
    for where in ("after its scan", "while it converts", "before it is read"):
        wire = OneWire({ROM: scratchpad(0x0191)})
        waited = []
        sensor = DS18x20(wire, sleep=waited.append)
        if where == "after its scan":
            wire.scan = lambda: [ROM]
            wire.silent = True
        elif where == "while it converts":
            sensor._sleep = lambda ms, wire=wire: setattr(wire, "silent", True)
        else:
            wire.thermometers = {ROM: b"\xff" * 9}
        said = raises(OSError, sensor.sample)
        assert "wiring" in said, (where, said)
        wire.silent = False
        wire.thermometers = {ROM: scratchpad(0x0140)}
        wire.resolutions = {}
        sensor._sleep = waited.append
        assert sensor.sample() == 20 and wire.resolutions, where


def test_ds18x20_whose_setting_fails_is_set_again():
    """Without its resolution it would be read before its conversion is over."""
    for error in (OSError, MemoryError, RuntimeError):
        for at in range(4):
            wire = OneWire({ROM: scratchpad(0x0191, 9)})
            left = [at]
            write = wire.writebyte

            def writebyte(byte, left=left, write=write, error=error):
                left[0] -= 1
                if left[0] == -1:
                    raise error("in the middle")
                write(byte)

            wire.writebyte = writebyte
            sensor = DS18x20(wire, bits=9, sleep=lambda ms: None)
            raises(error, sensor.sample)
            assert sensor.sample() == 25 and wire.resolutions == {ROM: 0x1F}, (error, at)


def test_ds18x20_85_degrees_after_power_up_are_no_reading():
    wire = OneWire({ROM: scratchpad(0x0550)})
    sensor = DS18x20(wire, sleep=lambda ms: None)
    for _ in range(3):
        assert "power-up" in raises(OSError, sensor.sample)
    wire.thermometers[ROM] = scratchpad(0x0140)
    assert sensor.sample() == 20
    wire.resolutions = {}
    wire.thermometers[ROM] = scratchpad(0x0550)
    assert "power-up" in raises(OSError, sensor.sample)
    wire.thermometers[ROM] = scratchpad(0x0540)
    assert sensor.sample() == 84 and wire.resolutions  # set anew: it was without power
    wire.thermometers[ROM] = scratchpad(0x0550)
    assert sensor.sample() == 85  # it came from near there


def test_ds18x20_several_on_one_wire():
    other = with_crc(bytes((0x28, 9, 9, 9, 9, 9, 9)))
    wire = OneWire({ROM: scratchpad(0x0191), other: scratchpad(0xFE6F)})
    said = raises(OSError, DS18x20(wire, sleep=lambda ms: None).sample)
    assert ROM.hex() in said and "rom" in said
    sensor = make_sensor({"kind": "ds18x20", "wire": wire, "rom": other.hex(), "bits": 9})
    assert -25.5 <= sensor.sample() <= -25
    bad = DS18x20(wire, rom=b"12345678")
    assert "checksum" in raises(OSError, bad.sample)


def test_ds18x20_as_the_kernel_reads_it():
    sensor = KernelThermometer(NAME)
    for text, expected in (
        ("91 01 4b 46 7f ff 0c 10 5e : crc=5e YES\n91 01 4b 46 7f ff 0c 10 5e t=25062\n", 25.062),
        ("6f fe 4b 46 7f ff 01 10 67 : crc=67 YES\n6f fe 4b 46 7f ff 01 10 67 t=-25062\n", -25.062),
        ("91 01 4b 46 7f ff 0c 10 5e : crc=5f NO\n91 01 4b 46 7f ff 0c 10 5e t=25062\n", "checksum"),
        ("50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n", "power-up"),
        ("00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n", "checksum"),  # shorted
        ("00 00 4b 46 7f ff 0c 10 c1 : crc=c1 YES\n00 00 4b 46 7f ff 0c 10 c1 t=0\n", 0),
        ("", "checksum"),
        ("91 01 4b 46 7f ff 0c 10 5e : crc=5e YES\n", "checksum"),  # cut short
        ("40 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n40 05 4b 46 7f ff 0c 10 1c t=84000\n", 84),
        ("50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n", 85),  # it comes from there
    ):
        with open(NAME, "w") as file:
            file.write(text)
        if isinstance(expected, str):
            assert expected in raises(OSError, sensor.sample)
        else:
            assert sensor.sample() == expected
    os.remove(NAME)
    raises(OSError, sensor.sample)


# DHT


def wire_of(*data):
    def measure(pin, buffer):
        buffer[:] = bytes(data)

    return measure


def summed(*data):
    return data + (sum(data) & 0xFF,)


def test_dht22_examples_of_its_manual():
    # 7.2: 0x028C is 65.2 %, 0x015F is 35.1 degrees; 0x8065 is -10.1
    assert decode(bytes(summed(0x02, 0x8C, 0x01, 0x5F)), 22) == (35.1, 65.2)
    assert decode(bytes(summed(0x02, 0x92, 0x80, 0x65)), 22) == (-10.1, 65.8)
    sensor = DHT(Level(), measure=wire_of(*summed(0x02, 0x8C, 0x01, 0x5F)))
    assert sensor.sample() == {"temperature": 35.1, "humidity": 65.2}


def test_dht11_example_of_its_manual_and_below_zero():
    # example 1 of Aosong's manual; the sign as newer ones (ASAIR) send it
    assert decode(bytes((0x35, 0x00, 0x18, 0x00, 0x4D)), 11) == (24, 53)
    assert decode(bytes(summed(0x35, 0x00, 0x18, 0x04)), 11) == (24.4, 53)
    assert decode(bytes(summed(0x35, 0x00, 0x0A, 0x81)), 11) == (-10.1, 53)
    assert decode(bytes(summed(0x35, 0x04, 0x18, 0x00)), 11) == (24, 53.4)


def test_dht_a_wrong_sum_is_an_error_and_so_is_nobody():
    good = summed(0x02, 0x8C, 0x01, 0x5F)
    for i in range(5):
        wrong = list(good)
        wrong[i] ^= 0x10
        assert "checksum" in raises(OSError, DHT(Level(), measure=wire_of(*wrong)).sample)
    assert "checksum" in raises(OSError, DHT(Level(), measure=wire_of(0, 0, 0, 0, 0)).sample)
    assert "cannot be" in raises(OSError, DHT(Level(), measure=wire_of(*summed(0xFF, 0xFF, 0x7F, 0xFF))).sample)
    assert "checksum" in raises(OSError, DHT(Level(), measure=wire_of(*(0xFF,) * 5)).sample)
    for humidity, temperature, possible in (
        (1000, 800, True),
        (1001, 800, False),
        (1000, 801, False),
        (0, 400 | 0x8000, True),
        (0, 401 | 0x8000, False),
    ):
        words = summed(humidity >> 8, humidity & 0xFF, temperature >> 8, temperature & 0xFF)
        sensor = DHT(Level(), measure=wire_of(*words))
        if possible:
            assert set(sensor.sample()) == {"temperature", "humidity"}
        else:
            assert "cannot be" in raises(OSError, sensor.sample), (humidity, temperature)
    assert "temperature, humidity" in raises(ValueError, DHT, Level(), field="dew", measure=wire_of(*good))

    def timeout(pin, buffer):
        raise OSError(110)

    raises(OSError, DHT(Level(), measure=timeout).sample)
    raises(ValueError, DHT, Level(), 12, measure=timeout)
    settings = {"kind": "dht", "pin": Level(), "measure": wire_of(*good), "field": "humidity"}
    assert make_sensor(settings).sample() == 65.2
    del settings["measure"]
    assert "Linux" in raises(ImportError, make_sensor, settings)


# Others


class Adc:
    def __init__(self, *values):
        self.values = list(values)

    def read_u16(self):
        return self.values.pop(0)


def test_adc_scale_and_mean():
    def volts(*values, **options):
        options.update({"kind": "adc", "adc": Adc(*values)})
        return make_sensor(options).sample()

    assert (volts(0), volts(65535), volts(13107)) == (0, 3.3, 0.66)
    assert volts(65535, reference=1.1) == 1.1
    assert abs(volts(13107, reference=1, scale=100, offset=-5) - 15) < 1e-5
    assert abs(volts(0, 0, 0, 65535, reference=4, samples=4) - 1) < 1e-5
    raises(ValueError, volts, samples=0)
    assert "Linux" in raises(ImportError, make_sensor, {"kind": "adc", "pin": 1})


class Machine:
    """A board's `machine`, and `onewire`: it notes what its buses were made from."""

    made = None

    def __init__(self, name):
        self.name = name

    def __call__(self, *arguments, **named):
        Machine.made = (self.name, arguments, named)
        return self


def on_a_board(soft, function, *arguments):
    """What `function` returns, or its error in words, where there is a `machine`; `soft` as on an ESP8266."""
    before = sys.modules.get("machine"), sys.modules.get("onewire")
    Machine.I2C = Machine("I2C")
    Machine.SoftI2C = Machine.I2C if soft else Machine("SoftI2C")
    Machine.ADC, Machine.OneWire = Machine("ADC"), Machine("OneWire")
    Machine.Pin = lambda number: "pin %d" % number
    sys.modules["machine"] = sys.modules["onewire"] = Machine
    try:
        return function(*arguments)
    except ValueError as e:
        return str(e)
    finally:
        for name, module in zip(("machine", "onewire"), before):
            del sys.modules[name]
            if module:
                sys.modules[name] = module


def test_the_bus_of_a_board_by_its_settings():
    pins = {"scl": "pin 5", "sda": "pin 4"}
    assert on_a_board(False, open_i2c, {}) and Machine.made == ("I2C", (0,), {"freq": 100000})
    assert on_a_board(False, open_i2c, {"bus": 1, "scl": 5, "sda": 4, "freq": 400000})
    assert Machine.made == ("I2C", (1,), dict(pins, freq=400000))
    assert on_a_board(True, open_i2c, {"bus": 0, "scl": 5, "sda": 4})  # an ESP8266: its bus has no number
    assert Machine.made == ("I2C", (), dict(pins, freq=100000))
    assert "`scl` and `sda`" in on_a_board(True, open_i2c, {"scl": 5})


def test_the_thermometer_inside_an_esp32():
    class Esp32:  # the first one has degrees Fahrenheit
        raw_temperature = staticmethod(lambda: 131)

    class Newer:
        mcu_temperature = staticmethod(lambda: 54)

    for module, degrees_celsius in ((Esp32, 55), (Newer, 54)):
        sys.modules["esp32"] = module
        try:
            assert make_sensor({"kind": "chip_temperature"}).sample() == degrees_celsius
        finally:
            del sys.modules["esp32"]


def test_the_volts_of_an_esp32_are_those_that_it_has_calibrated():
    class Esp32Adc:  # full scale is 1 V unless it is told otherwise, and no straight line
        ATTN_0DB, ATTN_11DB = 0, 3
        made = None

        def __init__(self, pin, atten=0):
            Esp32Adc.made = (pin, atten)

        def read_u16(self):
            return 65535

        def read_uv(self):
            return 2450000

    class WithAdc:
        ADC = Esp32Adc

    before = sys.modules.get("machine")
    sys.modules["machine"] = WithAdc
    try:
        assert abs(make_sensor({"kind": "adc", "pin": 34, "samples": 3}).sample() - 2.45) < 1e-5
        assert Esp32Adc.made == (34, 3)
        assert abs(make_sensor({"kind": "adc", "pin": 34, "scale": 2}).sample() - 4.9) < 1e-5
        assert abs(make_sensor({"kind": "adc", "pin": 34, "reference": 3.6}).sample() - 3.6) < 1e-5
    finally:
        del sys.modules["machine"]
        if before:
            sys.modules["machine"] = before


def test_a_pin_that_is_not_named_is_told():
    for kind in ("adc", "ds18x20", "gpio"):
        assert "`pin`" in on_a_board(False, make_sensor, {"kind": kind}), kind


def test_the_thermometer_of_an_rp2040():
    # 4.9.5: 0.706 V at 27 degrees, 1.721 mV less a degree
    for volts, expected in ((0.706, 27), (0.706 - 0.001721 * 10, 37), (0.706 + 0.001721 * 20, 7)):
        assert abs(rp2_degrees(round(volts / 3.3 * 65535)) - expected) < 0.05


def test_a_file_of_the_kernel():
    sensor = make_sensor({"kind": "file", "path": NAME, "scale": 0.001})
    raises(OSError, sensor.sample)
    for text, expected in (("47312\n", 47.312), ("-500", -0.5), ("12.5 V\n", 0.0125)):
        with open(NAME, "w") as file:
            file.write(text)
        assert sensor.sample() == expected
    whole = make_sensor({"kind": "file", "path": NAME, "offset": 1})
    for text in (b"", b"warm", b"\xff\xfe\x80"):
        with open(NAME, "wb") as file:
            file.write(text)
        assert "no number" in raises(OSError, whole.sample)
    with open(NAME, "w") as file:
        file.write("7")
    assert whole.sample() == 8
    assert make_sensor({"kind": "chip_temperature", "path": NAME}).sample() == 0.007
    os.remove(NAME)
    raises(ValueError, make_sensor, {"kind": "file"})


def test_a_pin_and_its_inverse():
    pin = Level()
    plain = make_sensor({"kind": "gpio", "pin": pin})
    inverse = make_sensor({"kind": "gpio", "pin": pin, "invert": True})
    assert (plain.sample(), inverse.sample()) == (0, 1)
    pin.level = 1
    assert (plain.sample(), inverse.sample()) == (1, 0)
    raises(ValueError, make_sensor, {"kind": "gpio"})
    raises(ValueError, make_sensor, {"kind": "gpio", "pin": 3, "pull": "sideways"})


def test_a_driver_of_others_as_a_probe():
    class Driver:
        temperature = 21.5
        acceleration = (0.1, 0.2, 9.8)

        def __init__(self):
            self.calls = 0

        def lux(self):
            self.calls += 1
            return self.calls

    driver = Driver()
    assert Probe(driver, "temperature")() == 21.5
    assert Probe(driver, "acceleration")() == [0.1, 0.2, 9.8]
    assert Probe(driver, "temperature", "lux")() == {"temperature": 21.5, "lux": 1}
    raises(AttributeError, Probe(driver, "smell"))
    raises(ValueError, Probe, driver)


# Outputs


def test_a_pin_follows_the_flow_and_goes_off_at_its_end():
    for invert in (False, True):
        pin = Level()
        source = OutputThing()
        source.connect(PinOutput(pin, invert=invert))
        for value in (True, 0, 7, None, "x", False):
            source._dispatch_next(SensorEvent("s", 0, value))
        source._dispatch_next(1)
        source._dispatch_completed()
        expected = [1, 0, 1, 0, 1, 0, 1, 0]
        assert pin.writes == [1 - x for x in expected] if invert else pin.writes == expected
    pin = Level()
    source = OutputThing()
    source.connect(PinOutput(pin, at_end=None))
    source._dispatch_next(1)
    source._dispatch_error(ValueError("x"))
    assert pin.writes == [1]
    pin = Level()
    source = OutputThing()
    source.connect(PinOutput(pin))
    source._dispatch_next(1)
    source._dispatch_error(OSError("the sensor has died"))
    assert pin.writes == [1, 0], "the pump stops"


class Strip(list):
    writes = 0

    def write(self):
        self.writes += 1


def test_pixels_show_what_comes_and_go_dark():
    strip = Strip([(9, 9, 9)] * 3)
    source = OutputThing()
    source.connect(NeoPixelOutput(strip), policy="skip")
    source._dispatch_next([255, 0, 10])
    assert list(strip) == [(255, 0, 10)] * 3 and strip.writes == 1
    source._dispatch_next(SensorEvent("s", 0, (255, 0, 10)))
    assert strip.writes == 1, "nothing has changed"
    source._dispatch_next([[1, 2, 3], (4, 5, 6)])
    assert list(strip) == [(1, 2, 3), (4, 5, 6), (0, 0, 0)]
    for wrong in ([256, 0, 0], [1, 2], [[1, 2, 3]] * 4, [0.5, 0, 0], 7):
        source._dispatch_next(wrong)
        assert list(strip) == [(1, 2, 3), (4, 5, 6), (0, 0, 0)]
    assert source.errors == 5
    source._dispatch_completed()
    assert list(strip) == [(0, 0, 0)] * 3


def test_pixels_by_a_scale_of_colours_and_brightness():
    strip = Strip([(0, 0, 0)] * 2)

    def warmth(celsius):
        return (255, 0, 0) if celsius > 25 else (0, 0, 255)

    output = NeoPixelOutput(strip, colour=warmth, brightness=0.2, keep=True)
    output.on_next(SensorEvent("t", 0, 30))
    assert list(strip) == [(51, 0, 0)] * 2
    output.on_next(SensorEvent("t", 1, 20))
    output.on_error(OSError(5))
    assert list(strip) == [(0, 0, 51)] * 2
    raises(ValueError, NeoPixelOutput, strip, brightness=2)
    output = NeoPixelOutput(strip, brightness=0)
    output.on_next([[255, 255, 255]] * 2)
    assert list(strip) == [(0, 0, 0)] * 2, "as many colours as pixels, none of them bright"
    output = NeoPixelOutput(strip, brightness=1)
    output.on_next([255, 255, 255])
    output.on_error(OSError("the sensor has died"))
    assert list(strip) == [(0, 0, 0)] * 2

    class Adafruits(list):
        shown = 0

        def show(self):
            self.shown += 1

    strip = Adafruits([(0, 0, 0)])
    NeoPixelOutput(strip).on_next([1, 2, 3])
    assert strip == [(1, 2, 3)] and strip.shown == 1
