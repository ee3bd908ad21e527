"""The factory of sensors, on every interpreter; those of this machine where psutil is."""

import os

from bourn._compat.system import random_bytes
from bourn.device.sensors import KINDS, make_sensor, proc, system


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


def in_range():
    for kind in ("cpu", "memory", "disk"):
        sensor = make_sensor({"kind": kind})
        for _ in range(2):
            assert 0 <= sensor.sample() <= 100, kind
    assert make_sensor({"kind": "load"}).sample() >= 0
    sent, received = make_sensor({"kind": "network"}).sample()
    assert sent >= 0 and received >= 0


def test_sensors_of_this_machine():
    in_range()


def test_sensors_of_this_machine_out_of_proc():
    before = system._psutil
    system._psutil = lambda: None  # as where it is not installed
    try:
        in_range()
        try:
            hottest = make_sensor({"kind": "temperature"}).sample()
            assert -40 < hottest < 150
        except ValueError as e:
            assert "no thermometer" in str(e)
    finally:
        system._psutil = before


class Filled:
    """An `os` whose disk is at /data."""

    def __init__(self, told):
        self.told = told

    def statvfs(self, path):
        assert path == "/data"
        return self.told


def test_proc_files_as_the_kernel_writes_them():
    def at(name, text):
        with open(folder + "/" + name, "w") as file:
            file.write(text)

    folder = "/tmp/bourn-test-proc-%02x%02x%02x%02x" % tuple(random_bytes(4))
    os.mkdir(folder)
    os.mkdir(folder + "/net")
    before = proc.PROC
    proc.PROC = folder
    try:
        head = "Inter-| Receive | Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes\n"
        at("stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 1 1\n")
        at(
            "net/dev",
            head + "    lo: 100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n  eth0:300 1 0 0 0 0 0 0 400 1 0 0 0 0 0 0\n",
        )
        at("meminfo", "MemTotal:  4000 kB\nMemFree: 100 kB\nMemAvailable: 1000 kB\nHugePages_Total: 0\n")
        at("loadavg", "0.25 0.50 0.75 1/100 4242\n")
        cpu, network = proc.cpu({}), proc.network({})
        assert (cpu(), network()) == (0, [0, 0])
        at("stat", "cpu  120 0 110 760 110 0 0 0 0 0\n")
        at(
            "net/dev",
            head + "    lo: 101 1 0 0 0 0 0 0 202 1 0 0 0 0 0 0\n  eth0:310 1 0 0 0 0 0 0 420 1 0 0 0 0 0 0\n",
        )
        assert cpu() == 30.0  # 30 of 100 were not idle
        assert network() == [22, 11]
        at("net/dev", head + "    lo: 103 1 0 0 0 0 0 0 202 1 0 0 0 0 0 0\n")
        assert network() == [0, 0], "an interface that has gone has sent nothing back"
        assert (proc.memory({})(), proc.load({})()) == (75.0, 0.25)
        statvfs, os_of = (4096, 4096, 1000, 400, 300, 0, 0, 0, 0, 255), proc.os
        proc.os = Filled(statvfs)
        used = proc.disk({"path": "/data"})()
        proc.os = os_of
        assert used == 66.7, "600 of the 900 blocks that a user may have, as df says it"
    finally:
        proc.PROC = before
        for name in ("stat", "net/dev", "meminfo", "loadavg"):
            os.remove(folder + "/" + name)
        os.rmdir(folder + "/net")
        os.rmdir(folder)
    proc.PROC = folder
    try:
        assert "pip install psutil" in raises(ImportError, proc.cpu, {})
    finally:
        proc.PROC = before
