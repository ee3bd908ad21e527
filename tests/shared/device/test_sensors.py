"""The factory of sensors, on every interpreter; those of this machine where psutil is."""

from bourn.device.sensors import KINDS, make_sensor
from run import Skip


def raises(error, function, *args):
    try:
        function(*args)
    except error as e:
        return str(e)
    raise AssertionError("no %s" % error.__name__)


def test_random_sensor_stays_in_its_range_and_reaches_its_ends():
    sensor = make_sensor({"name": "dice", "low": 1, "high": 6})
    assert (sensor.sensor_id, sensor.every_s) == ("dice", 5)
    assert {sensor.sample() for _ in range(500)} == {1, 2, 3, 4, 5, 6}
    values = [make_sensor({}).sample() for _ in range(200)]
    assert min(values) >= -100 and max(values) <= 100 and len(set(values)) > 20


def test_random_sensor_repeats_with_a_seed_and_differs_without():
    def five(**options):
        sensor = make_sensor(options)
        return [sensor.sample() for _ in range(5)]

    assert five(seed=3) == five(seed=3)
    assert len({tuple(five()) for _ in range(10)}) > 5


def test_counter_and_wave():
    counter = make_sensor({"kind": "counter", "start": 7})
    assert [counter.sample() for _ in range(3)] == [7, 8, 9]
    wave = make_sensor({"kind": "wave", "steps": 4, "every": 0.25})
    assert wave.every_s == 0.25
    assert [wave.sample() for _ in range(4)] == [1.0, 0.0, -1.0, 0.0]


def test_an_unknown_kind_is_told_with_those_there_are():
    said = raises(ValueError, make_sensor, {"kind": "smell"})
    assert "smell" in said
    for kind in KINDS:
        assert kind in said


def test_sensors_of_this_machine():
    try:
        import psutil  # noqa: F401 - the question is whether it is there
    except ImportError:
        said = raises(ImportError, make_sensor, {"kind": "cpu"})
        assert "pip install psutil" in said
        raise Skip("no psutil on this interpreter")
    for kind in ("cpu", "memory", "disk"):
        assert 0 <= make_sensor({"kind": kind}).sample() <= 100
    assert make_sensor({"kind": "load"}).sample() >= 0
    sent, received = make_sensor({"kind": "network"}).sample()
    assert sent >= 0 and received >= 0
