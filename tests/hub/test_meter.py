"""Levels and spectra of sound whose answer is known: sines."""

import math
import struct

import pytest

from bourn.hub.recorder.form import LINES, Form, pcm, raw
from bourn.hub.recorder.meter import BANDS, FLOOR, WINDOW, block_of, decibels, levels, spectrum

RATE = 48_000
PACK = {  # (bytes, tag): how a sample from -1 to 1 is stored
    (1, 1): lambda x: struct.pack("<B", min(255, max(0, round(x * 127) + 128))),
    (2, 1): lambda x: struct.pack("<h", round(x * 32767)),
    (3, 1): lambda x: struct.pack("<i", round(x * 8388607))[:3],
    (4, 1): lambda x: struct.pack("<i", round(x * 2147483647)),
    (4, 3): lambda x: struct.pack("<f", x),
    (8, 3): lambda x: struct.pack("<d", x),
}


def sine(hz, frames, amplitude=1.0):
    return [amplitude * math.sin(2 * math.pi * hz * n / RATE) for n in range(frames)]


@pytest.mark.parametrize("kind", PACK)
def test_a_sine_in_every_format(kind):
    size, tag = kind
    left, right = sine(1500, 4800), sine(12_000, 4800, 0.1)
    data = b"".join(PACK[kind](x) + PACK[kind](y) for x, y in zip(left, right, strict=True))
    block = block_of(data, pcm(RATE, 2, size, tag))
    peaks, means = levels(block)
    close = {"abs": 0.3 if size == 1 else 0.1}
    assert peaks == [pytest.approx(0, **close), pytest.approx(-20, **close)]
    assert means == [pytest.approx(-3, **close), pytest.approx(-23, **close)]
    heard = spectrum(block)
    width = RATE / 2 / BANDS
    by_loudness = sorted(range(BANDS), key=lambda band: -heard[band])
    assert by_loudness[0] == int(1500 / width) and heard[by_loudness[0]] == pytest.approx(-6, abs=1.5)  # half of two
    assert heard[int(12_000 / width)] == pytest.approx(-26, abs=1.5)
    assert heard[int(6000 / width)] < (-40 if size == 1 else -70)  # nothing is there


def test_every_band_is_found_by_its_sine():
    for band in range(0, BANDS, 5):
        hz = (band + 0.5) * RATE / 2 / BANDS
        block = block_of(b"".join(map(PACK[2, 1], sine(hz, WINDOW, 0.5))), pcm(RATE, 1, 2))
        heard = spectrum(block)
        assert max(range(BANDS), key=heard.__getitem__) == band
        assert heard[band] == pytest.approx(-6, abs=2)


def test_silence_little_and_what_is_no_number():
    form = pcm(RATE, 1, 2)
    assert levels(block_of(bytes(2000), form)) == ([FLOOR], [FLOOR])
    assert spectrum(block_of(bytes(20), form)) == [int(FLOOR)] * BANDS
    assert levels(block_of(b"", form)) == ([FLOOR], [FLOOR]) and len(spectrum(block_of(b"", form))) == BANDS
    broken = struct.pack("<4f", float("nan"), 0.1, float("inf"), 0.2)
    peaks, means = levels(block_of(broken, pcm(RATE, 1, 4, 3)))
    assert peaks[0] <= 0 and means == [FLOOR]
    spectrum(block_of(broken, pcm(RATE, 1, 4, 3)))
    assert decibels(1e-30) == FLOOR and decibels(-1) == FLOOR and decibels(1) == 0


def test_what_is_no_sound_has_no_level():
    assert block_of(b"12345678", raw(4)) is None and block_of(b"[1]\n", LINES) is None
    assert block_of(bytes(10), pcm(RATE, 1, 5)) is None
    assert block_of(bytes(15), Form("wav", 5, RATE, 2)) is None  # a header that is damaged
    assert len(block_of(bytes(64), pcm(RATE, 32, 2)).channels) == 8
