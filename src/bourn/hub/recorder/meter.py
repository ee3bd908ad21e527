"""How loud sound is, and what it is made of: what an operator looks at. No I/O, no library, small steps at a time.

Levels are dBFS: 0 is the largest value that a sample can have, so a sine that just fits has peak 0 and RMS -3.
"""

from __future__ import annotations

import cmath
import math
import sys
from array import array
from functools import cache
from operator import mul
from typing import Any, NamedTuple

from bourn.hub.recorder.form import Form

FLOOR = -120.0  # dBFS: as quiet as anything gets
WINDOW = 512  # samples that one spectrum is made of; a power of two
BANDS = 48  # of a spectrum, all equally wide, from 0 to half the rate
CHANNELS = 8  # that are shown; more are recorded all the same
_KINDS = {  # (bytes of a sample, WAV's tag): how `array` calls it, and its largest value
    (1, 1): ("B", 128.0),
    (2, 1): ("h", 32768.0),
    (4, 1): ("i", 2147483648.0),
    (4, 3): ("f", 1.0),
    (8, 3): ("d", 1.0),
}


class Block(NamedTuple):
    """Frames of sound, taken apart: the samples of each channel, and the largest value that one can have."""

    channels: list[array[Any]]
    scale: float


def block_of(data: bytes, form: Form) -> Block | None:
    """Whole frames as a Block, of their first CHANNELS channels; None where the form is no sound that can be read."""
    if form.kind != "wav" or not form.channels or form.frame_bytes % form.channels:
        return None
    size = form.frame_bytes // form.channels
    if size == 3 and form.tag == 1:  # its upper 16 bits: what the lowest byte says is quieter than any meter shows
        upper = bytearray(len(data) // 3 * 2)
        upper[0::2], upper[1::2] = data[1::3], data[2::3]
        data, size = bytes(upper), 2
    if (size, form.tag) not in _KINDS:
        return None
    code, scale = _KINDS[size, form.tag]
    numbers: array[Any] = array(code)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    if code == "B":  # WAV's samples of 8 bits have no sign
        numbers = array("h", [one - 128 for one in numbers])
    return Block([numbers[at :: form.channels] for at in range(min(form.channels, CHANNELS))], scale)


def decibels(value: float) -> float:
    """dBFS of an amplitude, to a tenth; FLOOR for silence, and for what is no number."""
    if not 0 < value < math.inf:
        return FLOOR
    return round(max(FLOOR, 20 * math.log10(value)), 1)


def levels(block: Block) -> tuple[list[float], list[float]]:
    """Peak and RMS of each channel, in dBFS."""
    peaks, means = [], []
    for one in block.channels:
        peak = max(abs(min(one)), abs(max(one))) if one else 0
        peaks.append(decibels(peak / block.scale))
        means.append(decibels(math.sqrt(sum(map(mul, one, one)) / len(one)) / block.scale if one else 0))
    return peaks, means


def spectrum(block: Block) -> list[int]:
    """How loud each of BANDS bands is, in whole dBFS: the loudest line in it, of the newest WINDOW samples.

    Of several channels the first two count, each for half. Hann's window; a sine at full scale gives 0 in its band.
    """
    heard = [one[-WINDOW:] for one in block.channels[:2]]
    if not heard or not heard[0]:
        return [int(FLOOR)] * BANDS
    mixed = [sum(frame) / len(heard) for frame in zip(*heard, strict=True)]
    mixed = [0.0] * (WINDOW - len(mixed)) + mixed
    lines = _transform([complex(a * b) for a, b in zip(mixed, _hann(), strict=True)])[: WINDOW // 2]
    part = 4 / WINDOW / block.scale  # 2 for the other half of the spectrum, 2 for the window
    edges = [round(band * len(lines) / BANDS) for band in range(BANDS + 1)]
    return [round(decibels(max(map(abs, lines[edges[n] : edges[n + 1]])) * part)) for n in range(BANDS)]


def _transform(samples: list[complex]) -> list[complex]:
    """The discrete Fourier transform of a power of two of samples (Cooley and Tukey, 1965)."""
    count = len(samples)
    if count == 1:
        return samples
    even, odd = _transform(samples[0::2]), _transform(samples[1::2])
    turned = list(map(mul, _turns(count), odd))
    return [a + b for a, b in zip(even, turned, strict=True)] + [a - b for a, b in zip(even, turned, strict=True)]


@cache
def _turns(count: int) -> list[complex]:
    return [cmath.exp(-2j * math.pi * n / count) for n in range(count // 2)]


@cache
def _hann() -> list[float]:
    return [0.5 - 0.5 * math.cos(2 * math.pi * n / WINDOW) for n in range(WINDOW)]
