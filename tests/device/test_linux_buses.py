"""A Linux board's buses and pins, by the libraries that drive them: smbus2's messages, gpiozero's mock pins."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import gpiozero
import pytest
import smbus2
from gpiozero.pins.mock import MockFactory

from bourn.cli.config import load_config
from bourn.device.outputs.gpio import pin_output
from bourn.device.sensors import make_sensor
from bourn.device.sensors.linux import LinuxI2C
from bourn.device.sensors.mcp9808 import MCP9808

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "shared" / "device"))

import simulated_bus


class Bus:
    """What the kernel does with the messages of one transfer, on a simulated bus."""

    def __init__(self, chip: simulated_bus.Chip) -> None:
        self.chip = chip
        self.transfers: list[list[tuple[int, bool, int]]] = []

    def i2c_rdwr(self, *messages: smbus2.i2c_msg) -> None:
        self.transfers.append([(m.addr, bool(m.flags & 1), m.len) for m in messages])
        register = None
        for message in messages:
            if message.addr != self.chip.address:
                raise OSError(121, "Remote I/O error")
            if message.flags & 1:
                assert register is not None
                ctypes.memmove(message.buf, self.chip.read(register, message.len), message.len)
            else:
                register, *data = list(message)
                if data:
                    self.chip.write(register, bytes(data))

    def close(self) -> None:
        self.transfers.append([])


def test_a_driver_runs_over_linux_i2c() -> None:
    chip = simulated_bus.Chip(0x18, {5: b"\xc1\x94", 6: b"\x00\x54", 7: b"\x04\x00", 8: b"\x03"})
    bus = Bus(chip)
    i2c = LinuxI2C(smbus=bus)
    sensor = MCP9808(i2c, sleep=lambda ms: None)
    assert sensor.sample() == 25.25
    assert chip.written == [(8, b"\x03")]
    assert bus.transfers[0] == [(0x18, False, 1), (0x18, True, 2)], "one transfer, with a repeated start"
    with pytest.raises(OSError, match="Remote"):
        MCP9808(i2c, address=0x19).sample()
    assert i2c.writeto(0x18, b"\x08\x01") == 2
    assert chip.written[-1] == (8, b"\x01")
    i2c.close()


def test_no_bus_is_told_with_what_to_do() -> None:
    with pytest.raises(OSError, match="no I2C bus 97; enable it"):
        make_sensor({"kind": "bme280", "bus": 97})


def test_a_bus_that_is_not_for_this_user_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(bus: object) -> None:
        raise PermissionError(13, "Permission denied", f"/dev/i2c-{bus}")

    monkeypatch.setattr(smbus2, "SMBus", forbidden)  # root may use any
    with pytest.raises(OSError, match=r"you may not use the I2C bus 1: `sudo usermod -aG i2c \$USER`"):
        make_sensor({"kind": "bme280"})


@pytest.fixture
def pins():
    before = gpiozero.Device.pin_factory
    gpiozero.Device.pin_factory = factory = MockFactory()
    yield factory
    factory.reset()
    gpiozero.Device.pin_factory = before


@pytest.mark.parametrize("pull", ["up", "down", None])
def test_a_pin_reads_its_level(pins: MockFactory, pull: str | None) -> None:
    sensor = make_sensor({"kind": "gpio", "pin": 4, "pull": pull})
    pin = pins.pin(4)
    for level in (0, 1, 0):
        (pin.drive_high if level else pin.drive_low)()
        assert sensor.sample() == level
    assert pin.pull == (pull or "floating")


def test_a_pin_is_driven(pins: MockFactory) -> None:
    output = pin_output(17)
    pin = pins.pin(17)
    for value in (True, 0, 5):
        output.on_next(value)
        assert pin.state == bool(value)
    output.on_completed()
    assert not pin.state


def test_a_gpiozero_device_is_a_probe(pins: MockFactory) -> None:
    from bourn.device.sensors.probe import Probe

    probe = Probe(gpiozero.Button(5), "value", "is_pressed")
    pins.pin(5).drive_low()
    assert probe() == {"value": 1, "is_pressed": True}


def test_kinds_of_a_board_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("21500\n")
    file = tmp_path / "sensors.toml"
    file.write_text(
        '[[sensor]]\nname = "air"\nkind = "bme280"\noptions = {bus = 97, field = "humidity"}\n'
        f'[[sensor]]\nname = "cellar"\nkind = "file"\noptions = {{path = "{tmp_path}/value", scale = 0.001}}\n'
    )
    air, cellar = load_config(str(file))
    assert (air.kind, air.options["field"]) == ("bme280", "humidity")
    assert make_sensor({"kind": cellar.kind, **cellar.options}).sample() == 21.5


@pytest.mark.parametrize(("module", "kind", "options"), [("smbus2", "bme280", {}), ("gpiozero", "gpio", {"pin": 4})])
def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, module: str, kind: str, options: dict) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'bourn\[sensors\]'"):
        make_sensor({"kind": kind, **options})
