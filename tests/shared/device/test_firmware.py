"""What an ESP8266's firmware leaves out, left out here: crc32, a TLS that verifies, random.randint, a pull down.

Facts: MicroPython 1.25, ports/esp8266/mpconfigport.h, machine_pin.c; extmod/modtls_axtls.c. No board was at hand.
"""

import os
import sys

from run import Skip

MICROPYTHON = sys.implementation.name == "micropython"
SEED = 4
FOLDER = "/tmp/bourn-test-firmware-%02x%02x%02x%02x" % tuple(os.urandom(4))

if MICROPYTHON:
    import binascii as real
    import random as real_random


class Part:
    """A module that has only these names of another."""

    def __init__(self, module, names):
        for name in names.split():
            setattr(self, name, getattr(module, name))


class AxTLS:
    """`ssl` and `tls` of that port."""

    PROTOCOL_TLS_CLIENT = 0
    PROTOCOL_TLS_SERVER = 1
    CERT_NONE = 0
    SSLContext = object


class Pin:
    """Its pins."""

    IN, OUT, PULL_UP = 0, 1, 1

    def __init__(self, number, *settings):
        self.number = number
        self.settings = settings


class Machine:
    """As much of `machine` as is asked for here."""

    Pin = Pin


if MICROPYTHON:  # before anything of ours is imported
    sys.modules["binascii"] = Part(real, "a2b_base64 b2a_base64 hexlify unhexlify")
    sys.modules["random"] = Part(real_random, "getrandbits seed")
    sys.modules["ssl"] = sys.modules["tls"] = AxTLS
    sys.modules["machine"] = Machine


def on_that_board():
    if not MICROPYTHON:
        raise Skip("CPython has no such firmware")


def test_crc32_is_the_same_number():
    on_that_board()
    from bourn._compat.system import crc32

    assert not hasattr(sys.modules["binascii"], "crc32") and crc32 is not real.crc32
    assert crc32(b"") == 0 and crc32(b"123456789") == 0xCBF43926
    state = SEED
    for n in range(300):
        state = state * 1103515245 + 12345 & 0xFFFFFFFF
        data = bytes([(state >> (i % 24)) + i & 255 for i in range(n)])
        assert crc32(data) == real.crc32(data)
        assert crc32(data, state) == real.crc32(data, state)
        assert crc32(bytearray(data), 0xFFFFFFFF) == real.crc32(data, 0xFFFFFFFF)


def test_an_outbox_in_segments_a_phase_and_a_deep_sleep():
    on_that_board()
    from bourn.drivers.deep_sleep import DeepSleep
    from bourn.grid import PHASES, phase_of
    from bourn.spool.segments import SegmentSpool

    assert phase_of("greenhouse-7") == real.crc32(b"greenhouse-7") % PHASES
    spool = SegmentSpool(FOLDER)
    for i in range(20):
        spool.append(("s", i, i))
    spool.ack((spool.epoch, 5))
    spool.close()
    again = SegmentSpool(FOLDER)
    assert [record[2] for _, record in again.read(again.acked(), 99)] == list(range(5, 20))
    again.ack((spool.epoch, 20))
    again.close()
    for name in os.listdir(FOLDER):
        os.remove(FOLDER + "/" + name)
    os.rmdir(FOLDER)

    kept = []
    asleep = DeepSleep(lambda *data: kept.append(data[0]) if data else kept and kept[-1], None)
    asleep.keep(b"mine")
    asleep._store(b"nothing")
    assert not DeepSleep(lambda: kept[-1], None).survived  # no record of ours, though its CRC is right


def test_tls_is_refused_in_words():
    on_that_board()
    from bourn.device.connections import check_url

    for url in ("tls://hub.local:7443?ca=ca.pem", "mqtts://broker.local/bourn?ca=ca.pem"):
        try:
            check_url(url)
        except ValueError as e:
            assert "verifies nobody" in str(e), e
        else:
            raise AssertionError("taken: " + url)
    assert check_url("tcp://127.0.0.1:7007") == "tcp://127.0.0.1:7007"


def test_a_random_integer():
    on_that_board()
    from bourn.device.sensors.generated import random_integer

    probe = random_integer({"low": -3, "high": 3, "seed": SEED})
    assert {probe() for _ in range(300)} == {-3, -2, -1, 0, 1, 2, 3}


def test_a_pin_without_a_pull_down():
    on_that_board()
    from bourn.device.sensors.bus import open_pin

    assert open_pin({"pin": 4, "pull": "up"}).settings == (Pin.IN, Pin.PULL_UP)
    try:
        open_pin({"pin": 4, "pull": "down"})
    except ValueError as e:
        assert "'down'" in str(e) and "resistor" in str(e)
    else:
        raise AssertionError("taken")
