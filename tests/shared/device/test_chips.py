# heap: 96k
"""The drivers of chips against simulated buses that hold what the datasheets say."""

from simulated_bus import I2C, SPI, Chip

from bourn.device.sensors import KINDS, Sensor, make_sensor
from bourn.device.sensors.adxl345 import ADXL345
from bourn.device.sensors.bme280 import BME280, compensate
from bourn.device.sensors.mcp9808 import MCP9808
from bourn.device.sensors.spi import SpiRegisters
from bourn.device.sensors.tsl2591 import TSL2591
from bourn.scheduler import Scheduler
from bourn.sensor import SensorAsOutputThing
from bourn.testing import ManualClock


def raises(error, function, *args, **options):
    try:
        function(*args, **options)
    except error as e:
        return str(e)
    raise AssertionError("no %s" % error.__name__)


class Sleep:
    """Counts what was waited, in ms."""

    def __init__(self):
        self.ms = 0

    def __call__(self, ms):
        self.ms += ms


# MCP9808


def mcp9808(raw=0x0194):
    return Chip(0x18, {5: raw.to_bytes(2, "big"), 6: b"\x00\x54", 7: b"\x04\x00", 8: b"\x03"})


def test_mcp9808_temperatures_of_its_datasheet():
    chip = mcp9808()
    sensor = MCP9808(I2C(chip), sleep=Sleep())
    # value of the register, degrees: DS25095A, 5.1.3.1: the three highest bits are alarms, the rest a two's complement
    # (its equation for below zero, 256 - ..., gives the number without its sign)
    for raw, degrees in (
        (0x0194, 25.25),
        (0xC194, 25.25),
        (0xE194, 25.25),
        (0x0000, 0),
        (0x0001, 0.0625),
        (0x1FFF, -0.0625),
        (0x1FF0, -1),
        (0x1E6C, -25.25),
        (0xDD80, -40),
        (0x07D0, 125),
    ):
        chip.registers[5] = raw.to_bytes(2, "big")
        assert sensor.sample() == degrees, (raw, sensor.sample())


def test_mcp9808_waits_for_its_first_conversion_once():
    # DS25095A, table 5-2: 30, 65, 130 and 250 ms are typical; it says no greatest, so a fifth more is waited
    for resolution, bits, ms in ((0.5, 0, 36), (0.25, 1, 78), (0.125, 2, 156), (0.0625, 3, 300)):
        chip = mcp9808()
        sleep = Sleep()
        sensor = MCP9808(I2C(chip), sleep=sleep, resolution=resolution)
        sensor.sample()
        sensor.sample()
        assert (chip.written, sleep.ms) == ([(8, bytes((bits,)))], ms)
    assert "0.0625, 0.125, 0.25, 0.5" in raises(ValueError, MCP9808, None, resolution=1)


def test_another_chip_at_the_address_is_told():
    chip = mcp9808()
    chip.registers[6] = b"\x00\x55"
    said = raises(OSError, MCP9808(I2C(chip), sleep=Sleep()).sample)
    assert "no MCP9808 at address 0x18" in said and "wiring" in said
    assert chip.written == []


def test_a_bus_that_does_not_answer_is_for_the_policy_and_the_chip_is_set_up_again():
    chip = mcp9808()
    bus = I2C(chip)
    bus.silent = True  # from the start on: making the sensor asks nobody
    sensor = Sensor("t", MCP9808(bus, sleep=Sleep()).sample, 1)
    thing = SensorAsOutputThing(sensor, ManualClock(), policy="skip")
    seen = []
    thing.connect(seen.append)
    scheduler = Scheduler(ManualClock())
    scheduler.schedule_periodic(thing, 1)
    for second in range(1, 7):
        bus.silent = second in (1, 4)
        if second == 4:
            del chip.written[:]
            chip.registers[8] = b"\x00"
        scheduler.run_due(second * 1000)
    assert [event.val for event in seen] == [25.25] * 4
    assert (thing.failures, thing.last_error.args[0]) == (2, 5)
    assert chip.written == [(8, b"\x03")]  # it was without power, perhaps


def test_a_wire_that_hangs_is_no_reading():
    # 0xFF is -0.0625 degrees for an MCP9808 and 1/256 g for an ADXL345; zeros are no light, no g, 0 degrees
    for byte in (0x00, 0xFF):
        chip = mcp9808()
        sensor = MCP9808(I2C(chip), sleep=Sleep())
        sensor.sample()
        for register in (5, 6, 7):
            chip.registers[register] = bytes((byte, byte))
        assert "no MCP9808" in raises(OSError, sensor.sample), byte
        spi = SPI(adxl345(1, 2, 3), more=0x40)
        sensor = ADXL345(SpiRegisters(spi, spi.cs, more=0x40), sleep=Sleep())
        sensor.sample()
        spi.hangs = byte
        assert "no ADXL345" in raises(OSError, sensor.sample), byte
        spi.hangs = None
        assert sensor.sample()["z"] == 3 / 256, "and it comes back"
        chip = tsl2591(100, 10)
        sensor = TSL2591(I2C(chip), sleep=Sleep())
        sensor.sample()
        chip.registers[0xB2] = bytes((byte,))
        chip.registers[0xB4] = bytes((byte,)) * 4
        assert "no TSL2591" in raises(OSError, sensor.sample), byte
        spi = SPI(bme280(EXAMPLE + HUMIDITY, 519888, 415148, 30000), clear=0x80)
        sensor = BME280(SpiRegisters(spi, spi.cs, write_mask=0x7F), sleep=Sleep())
        sensor.sample()
        spi.hangs = byte
        raises(OSError, sensor.sample)


def test_a_chip_that_was_without_power_for_a_moment_is_set_up_again():
    chip = adxl345(1, 2, 3)
    sensor = ADXL345(I2C(chip), range_g=16, sleep=Sleep())
    sensor.sample()
    chip.registers.update({0x2C: b"\x0a", 0x2D: b"\x00", 0x31: b"\x00", 0x32: bytes(6)})  # as after power-up: asleep
    del chip.written[:]
    assert "without power" in raises(OSError, sensor.sample)
    chip.registers[0x32] = adxl345(0, 0, 0).registers[0x32]
    assert sensor.sample() == {"x": 0, "y": 0, "z": 0}, "in free fall that is a reading"
    assert chip.written == [(0x31, b"\x0b"), (0x2C, b"\x0a"), (0x2D, b"\x08")]
    chip = bme280(EXAMPLE + HUMIDITY, 519888, 415148, 30000)
    sensor = BME280(I2C(chip), sleep=Sleep())
    sensor.sample()
    # it goes on measuring when told, but no humidity any more (5.4.3: skipped, 0x8000)
    chip.registers[0xF2] = b"\x00"
    good, chip.registers[0xF7] = chip.registers[0xF7], chip.registers[0xF7][:6] + b"\x80\x00"
    assert "nothing was measured" in raises(OSError, sensor.sample)
    chip.registers[0xF7] = good
    assert sensor.sample()["temperature"] == 25.08 and chip.registers[0xF2] == b"\x01"


def test_whatever_ends_a_sample_in_the_middle_the_next_one_sets_the_chip_up():
    """At each transfer of a chip's first two samples: an error of the bus, or no memory left for it."""
    for error in (OSError, MemoryError, RuntimeError):
        for make, driver, options in (
            (mcp9808, MCP9808, {}),
            (lambda: adxl345(1, 2, 3), ADXL345, {"range_g": 8}),
            (lambda: tsl2591(100, 10), TSL2591, {"gain": "low"}),
            (lambda: bme280(EXAMPLE + HUMIDITY, 519888, 415148, 30000), BME280, {}),
        ):
            bus = Failing(I2C(make()), -1, error)
            sensor = driver(bus, sleep=Sleep(), **options)
            value = sensor.sample()
            first = list(bus.transfers)
            sensor.sample()
            for at in range(len(bus.transfers)):
                again = Failing(I2C(make()), at, error)
                sensor = driver(again, sleep=Sleep(), **options)
                if at >= len(first):
                    sensor.sample()
                raises(error, sensor.sample)
                del again.transfers[:]
                assert sensor.sample() == value and again.transfers == first, (driver, at, error)


class Failing:
    """An I2C bus whose transfer number `at` fails."""

    def __init__(self, bus, at, error):
        self.bus = bus
        self.at = at
        self.error = error
        self.transfers = []

    def _count(self, what, register):
        self.at -= 1
        if self.at == -1:
            raise self.error("in the middle")
        self.transfers.append((what, register))

    def readfrom_mem_into(self, address, register, buffer):
        self._count("read", register)
        self.bus.readfrom_mem_into(address, register, buffer)

    def writeto_mem(self, address, register, data):
        self._count("write", register)
        self.bus.writeto_mem(address, register, data)


def test_what_a_chip_cannot_measure_is_no_reading():
    chip = mcp9808(0x0FFF)  # a wire that hangs
    assert "cannot be" in raises(OSError, MCP9808(I2C(chip), sleep=Sleep()).sample)


# ADXL345


def adxl345(*axes):
    chip = Chip(0x53, {0: b"\xe5", 0x31: b"\x00", 0x32: b""})
    chip.registers[0x32] = b"".join([(axis & 0xFFFF).to_bytes(2, "little") for axis in axes])
    return chip


def test_adxl345_twos_complement_in_every_range():
    # Rev. G, table 1: 256 LSB/g typical at full resolution in all ranges, 3.9 mg/LSB
    for range_g, bits in ((2, 0), (4, 1), (8, 2), (16, 3)):
        chip = adxl345(256, -256, -1)
        sensor = ADXL345(I2C(chip), sleep=Sleep(), range_g=range_g)
        assert sensor.sample() == {"x": 1, "y": -1, "z": -1 / 256}
        assert chip.written[0] == (0x31, bytes((8 | bits,))) and (0x2D, b"\x08") in chip.written
        assert sensor.sleep.ms == 12, "the first value comes after 1.1 ms and a period of 10 ms"
        end = 256 * range_g
        chip.registers[0x32] = adxl345(-end, end - 1, 0).registers[0x32]
        assert sensor.sample() == {"x": -range_g, "y": range_g - 1 / 256, "z": 0}
    raises(ValueError, ADXL345, None, range_g=3)


def test_adxl345_over_spi_and_one_field():
    spi = SPI(adxl345(128, 0, -384), more=0x40)
    sensor = ADXL345(SpiRegisters(spi, spi.cs, more=0x40), field="z", sleep=Sleep())
    assert spi.cs.writes == [1], "nobody else's bytes on the bus are for it"
    assert sensor.sample() == -1.5
    assert spi.cs.writes[1:] == [0, 1] * (len(spi.cs.writes) // 2), "selected for each transfer, and no longer"
    said = raises(ValueError, ADXL345, None, field="w")
    assert "x, y, z" in said


# TSL2591


def tsl2591(full, infrared, valid=1):
    counts = full.to_bytes(2, "little") + infrared.to_bytes(2, "little")
    return Chip(0x29, {0xB2: b"\x50", 0xB3: bytes((valid,)), 0xB4: counts})


def test_tsl2591_lux_by_gain_and_integration_time():
    for gain, bits, gains in (("low", 0, (1, 1)), ("medium", 1, (24.5, 24.5)), ("high", 2, (400, 400))):
        for ms in (100, 200, 600):
            chip = tsl2591(20000, 5000)
            sleep = Sleep()
            sensor = TSL2591(I2C(chip), gain=gain, integration_ms=ms, sleep=sleep)
            sample = sensor.sample()
            # ch0 = 4 x ch1: three quarters of three quarters of ch0, times 408 / (ms x gain). Gains: the datasheet's
            # typical ones, 24.5 (22 to 27), 400 (360 to 440), 9200 (8500 to 9900), for channel 1 9900 (9100 to 10700)
            exact = 20000 * 9 * 408 / (16 * ms * gains[0])
            assert abs(sample["lux"] - exact) < 1e-3 + 1e-6 * exact, (gain, ms, sample, exact)
            assert (sample["full"], sample["infrared"]) == (20000, 5000)
            assert (0xA1, bytes((bits << 4 | ms // 100 - 1,))) in chip.written
            assert chip.written[-1] == (0xA0, b"\x03") and sleep.ms >= ms * 1.08


def test_tsl2591_the_two_channels_differ_at_the_highest_gain():
    sample = TSL2591(I2C(tsl2591(9200, 2475)), gain="max", sleep=Sleep()).sample()
    assert abs(sample["lux"] - 0.75 * 0.75 * 4.08) < 1e-3  # 1 and a quarter, in units of gain 1


def test_tsl2591_too_bright_has_no_lux():
    for ms, full_scale in ((100, 36863), (200, 65535)):
        for full, infrared in ((full_scale, 5), (full_scale, full_scale)):
            sensor = TSL2591(I2C(tsl2591(full, infrared)), gain="low", integration_ms=ms, sleep=Sleep())
            assert sensor.sample() == {"lux": None, "full": full, "infrared": infrared}
        assert TSL2591(I2C(tsl2591(full_scale - 1, 5)), gain="low", integration_ms=ms, sleep=Sleep()).sample()["lux"]


def test_tsl2591_darkness_is_zero():
    for full, infrared in ((0, 0), (3, 3), (3, 9)):
        assert TSL2591(I2C(tsl2591(full, infrared)), gain="low", sleep=Sleep()).sample()["lux"] == 0


def test_tsl2591_too_much_infrared_is_too_bright_and_a_new_gain_begins_a_new_integration():
    assert TSL2591(I2C(tsl2591(400, 36863)), gain="low", sleep=Sleep()).sample()["lux"] is None
    chip = tsl2591(36863, 36863)
    sensor = TSL2591(I2C(chip), sleep=Sleep())
    sensor.sample()
    assert sensor.gain == "low"
    sensor.sample()
    assert sensor.gain == "low", "there is no less"
    # off and on around each gain, so that no integration is of two
    assert chip.written == [
        (0xA0, b"\x01"),
        (0xA1, b"\x10"),
        (0xA0, b"\x03"),
        (0xA0, b"\x01"),
        (0xA1, b"\x00"),
        (0xA0, b"\x03"),
    ]


def test_tsl2591_finds_the_gain():
    gains = {0: 1, 1: 24.5, 2: 400, 3: 9200}
    for light in (0.002, 0.5, 20, 900, 30000):  # counts of the full channel at gain 1
        chip = tsl2591(0, 0)

        def follow(register, data, chip=chip, light=light):
            if register == 0xA1:
                full = min(36863, int(light * gains[data[0] >> 4]))
                chip.registers[0xB4] = tsl2591(full, full // 4).registers[0xB4]

        chip.on_write = follow
        sensor = TSL2591(I2C(chip), sleep=Sleep())
        samples = [sensor.sample() for _ in range(6)]
        assert samples[-1] == samples[-2] and samples[-1]["lux"] is not None
        full = samples[-1]["full"]
        brightest = light * 9200 < 36863
        assert full > 1000 or brightest, (light, samples)  # no light is measured in the lowest bits


def test_tsl2591_says_when_nothing_was_integrated_yet():
    chip = tsl2591(100, 10, valid=0)
    assert "integration" in raises(OSError, TSL2591(I2C(chip), sleep=Sleep()).sample)


# BME280

# The example of Bosch's BMP280 datasheet (BST-BMP280-DS001, 3.12): the same formulas and calibration for T and P.
# There: adc_T 519888, adc_P 415148, t_fine 128422, 25.08 degrees, 25767236 / 256 = 100653.27 Pa; none for humidity.
EXAMPLE = (27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
HUMIDITY = (75, 367, 0, 301, 50, 30)  # H1..H6, of the size that chips have


def bme280(numbers, adc_t, adc_p, adc_h):
    h1, h2, h3, h4, h5, h6 = numbers[12:]
    low = b"".join([(n & 0xFFFF).to_bytes(2, "little") for n in numbers[:12]]) + b"\0" + bytes((h1,))
    h4 &= 0xFFF
    h5 &= 0xFFF
    high = (h2 & 0xFFFF).to_bytes(2, "little") + bytes((h3, h4 >> 4, h5 << 4 & 0xF0 | h4 & 15, h5 >> 4, h6 & 255))
    data = (adc_p << 4).to_bytes(3, "big") + (adc_t << 4).to_bytes(3, "big") + adc_h.to_bytes(2, "big")
    return Chip(0x76, {0xD0: b"\x60", 0x88: low, 0xE1: high, 0xF3: b"\0", 0xF7: data})


def in_floats(numbers, adc_t, adc_p, adc_h):
    """The datasheet's other formulas (BST-BME280-DS001, 8.1), in floating point: an independent way to the same."""
    t1, t2, t3, p1, p2, p3, p4, p5, p6, p7, p8, p9, h1, h2, h3, h4, h5, h6 = [float(n) for n in numbers]
    x = adc_t / 131072 - t1 / 8192
    fine = (adc_t / 16384 - t1 / 1024) * t2 + x * x * t3
    a = fine / 2 - 64000
    b = a * a * p6 / 32768 + a * p5 * 2
    b = b / 4 + p4 * 65536
    a = (p3 * a * a / 524288 + p2 * a) / 524288
    a = (1 + a / 32768) * p1
    p = (1048576.0 - adc_p - b / 4096) * 6250 / a
    p += (p9 * p * p / 2147483648 + p * p8 / 32768 + p7) / 16
    h = fine - 76800
    h = (adc_h - (h4 * 64 + h5 / 16384 * h)) * (h2 / 65536 * (1 + h6 / 67108864 * h * (1 + h3 / 67108864 * h)))
    h = h * (1 - h1 * h / 524288)
    return fine / 5120, p / 100, min(max(h, 0), 100)


def test_bme280_the_example_of_the_datasheet():
    temperature, pressure, _ = compensate(EXAMPLE + HUMIDITY, 519888, 415148, 30000)
    assert temperature == 25.08 and pressure == round(25767236 / 25600, 3) == 1006.533, (temperature, pressure)


def test_bme280_integers_agree_with_the_formulas_in_floats():
    for h in (HUMIDITY, (0, 340, 3, 340, -60, -30), (80, 360, 0, -5, 2000, 127)):
        for adc_t in (400000, 470000, 519888, 560000):
            for adc_p in (300000, 415148, 460000):
                for adc_h in (20000, 28000, 36000):
                    numbers = EXAMPLE + h
                    got = compensate(numbers, adc_t, adc_p, adc_h)
                    expected = in_floats(numbers, adc_t, adc_p, adc_h)
                    for g, e, near in zip(got, expected, (0.02, 0.1, 0.1)):
                        assert abs(g - e) <= near, (numbers, adc_t, adc_p, adc_h, got, expected)


def test_bme280_over_i2c_and_spi():
    expected = in_floats(EXAMPLE + HUMIDITY, 519888, 415148, 30000)
    for over in ("i2c", "spi"):
        chip = bme280(EXAMPLE + HUMIDITY, 519888, 415148, 30000)
        sleep = Sleep()
        if over == "i2c":
            sensor = BME280(I2C(chip), sleep=sleep)
        else:
            spi = SPI(chip, clear=0x80)
            sensor = BME280(SpiRegisters(spi, spi.cs, write_mask=0x7F), sleep=sleep)
        for _ in range(2):
            sample = sensor.sample()
            assert sample["temperature"] == 25.08
            assert abs(sample["pressure"] - expected[1]) < 0.1 and abs(sample["humidity"] - expected[2]) < 0.1
        assert sensor.calibration == EXAMPLE + HUMIDITY
        # humidity before the measurement: it takes effect with that (5.4.3); asleep in between
        assert chip.written == [(0xF2, b"\x01"), (0xF5, b"\x00"), (0xF4, b"\x25"), (0xF4, b"\x25")]
        assert sleep.ms == 20


def test_bme280_calibration_with_signs():
    numbers = EXAMPLE + (255, -32768, 255, -2048, -1, -128)
    chip = bme280(numbers, 519888, 415148, 0x8000)
    sensor = BME280(I2C(chip), sleep=Sleep())
    sensor.begin()
    assert sensor.calibration == numbers
    numbers = EXAMPLE + (0, 32767, 0, 2047, 2047, 127)
    sensor = BME280(I2C(bme280(numbers, 519888, 415148, 0x8000)), sleep=Sleep())
    sensor.begin()
    assert sensor.calibration == numbers


def test_bme280_what_goes_wrong_is_an_oserror():
    for marks in ((0x80000, 415148, 30000), (519888, 0x80000, 30000), (519888, 415148, 0x8000)):
        chip = bme280(EXAMPLE + HUMIDITY, *marks)
        assert "nothing was measured" in raises(OSError, BME280(I2C(chip), sleep=Sleep()).sample)
    chip = bme280(EXAMPLE + HUMIDITY, 519888, 415148, 30000)
    chip.registers[0xF3] = b"\x08"
    assert "too long" in raises(OSError, BME280(I2C(chip), sleep=Sleep()).sample)
    chip = bme280((0,) * 18, 519888, 415148, 30000)
    assert "not read its own calibration" in raises(OSError, BME280(I2C(chip), sleep=Sleep()).sample)
    chip = bme280(EXAMPLE[:3] + (0,) + EXAMPLE[4:] + HUMIDITY, 519888, 415148, 30000)
    assert "divides by zero" in raises(OSError, BME280(I2C(chip), sleep=Sleep()).sample)


# Tables


def test_chips_of_the_factory_by_their_settings():
    chips = {"bme280": bme280(EXAMPLE + HUMIDITY, 519888, 415148, 30000), "adxl345": adxl345(0, 0, 256)}
    for kind, chip in chips.items():
        sensor = make_sensor({"kind": kind, "i2c": I2C(chip), "name": kind})
        table = __import__("bourn.device.sensors." + kind, None, None, ("TABLE",)).TABLE
        assert set(sensor.sample()) == {row[0] for row in table["fields"]}
        assert sensor.every_s == KINDS[kind][2]
    sensor = make_sensor({"kind": "bme280", "i2c": I2C(chips["adxl345"]), "field": "humidity"})
    raises(OSError, sensor.sample)
    chip = bme280(EXAMPLE + HUMIDITY, 519888, 415148, 30000)
    chip.address = 0x77
    sensor = make_sensor({"kind": "bme280", "i2c": I2C(chip), "field": "temperature", "address": 0x77})
    assert sensor.sample() == 25.08
