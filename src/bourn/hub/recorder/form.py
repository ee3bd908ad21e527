"""What a recording is made of: frames of fixed size, or lines; and the header that its files begin with."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

WAV_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
WAV_MOST = (1 << 32) - WAV_HEADER.size  # bytes of samples in one file: its lengths are 32-bit


class FormError(ValueError):
    """Frames cannot be like this; the text says what to change."""


class Form(NamedTuple):
    """`wav`: PCM samples, a frame is one sample of each channel. `raw`: frames of `frame_bytes`. `jsonl`: lines."""

    kind: str
    frame_bytes: int = 0  # 0: a frame is a line
    rate: int = 0  # frames a second; 0: not known
    channels: int = 0
    tag: int = 1  # WAV's code of the samples: 1 integers, 3 floats

    @property
    def ending(self) -> str:
        """Of file names; for `raw` it says how long a frame is, so that a file cut short can be understood."""
        return f"raw{self.frame_bytes}" if self.kind == "raw" else self.kind

    @property
    def header_bytes(self) -> int:
        """How long the header of a file is."""
        return WAV_HEADER.size if self.kind == "wav" else 0

    def header(self, frames: int) -> bytes:
        """What a file of that many frames begins with."""
        if self.kind != "wav":
            return b""
        data, bits = frames * self.frame_bytes, self.frame_bytes // self.channels * 8
        return WAV_HEADER.pack(
            *(b"RIFF", data + WAV_HEADER.size - 8, b"WAVE", b"fmt ", 16, self.tag, self.channels, self.rate),
            *(self.rate * self.frame_bytes, self.frame_bytes, bits, b"data", data),
        )


def pcm(rate: int, channels: int, sample_bytes: int, tag: int = 1) -> Form:
    """Sound: `rate` frames a second of `channels` samples of `sample_bytes`, little-endian. FormError."""
    if not (0 < rate < 1 << 32 and 0 < channels <= 256 and 0 < sample_bytes <= 8):
        raise FormError(f"there is no sound of {rate} Hz, {channels} channels, {sample_bytes} bytes a sample")
    return Form("wav", channels * sample_bytes, rate, channels, tag)


def raw(frame_bytes: int, rate: int = 0) -> Form:
    """Anything with frames of one size: camera frames, vibration, records of a device. FormError."""
    if not 0 < frame_bytes <= 1 << 28:
        raise FormError(f"a frame of {frame_bytes} bytes is not from 1 B to 256 MiB")
    return Form("raw", frame_bytes, rate)


LINES = Form("jsonl")  # sensor events: each is a line


def form_of(ending: str, head: bytes) -> Form | None:
    """The form of a file with that ending which begins with `head`; None where that cannot be told."""
    if ending == "jsonl":
        return LINES
    sized = re.fullmatch(r"raw(\d{1,9})", ending)
    if sized:
        return raw(int(sized[1])) if int(sized[1]) else None
    if ending != "wav" or len(head) < WAV_HEADER.size or not head.startswith(b"RIFF"):
        return None
    _, _, _, _, _, tag, channels, rate, _, frame_bytes, _, _, _ = WAV_HEADER.unpack_from(head)
    return Form("wav", frame_bytes, rate, channels, tag) if frame_bytes and channels else None
