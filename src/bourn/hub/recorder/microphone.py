"""A microphone as a source, by sounddevice (extra `microphone`)."""

from __future__ import annotations

import queue
import threading
from typing import Any

from bourn.hub.recorder.form import pcm
from bourn.hub.recorder.recorder import Recorder
from bourn.hub.recorder.source import SourceError

HELD_S = 10  # of sound, while the disk is slow; what is beyond it is lost, numbered and counted
BLOCK_MS = 50
TYPES = {1: "uint8", 2: "int16", 3: "int24", 4: "int32"}


class Microphone:
    """The input `device` (empty: the system's default). SourceError, ImportError."""

    def __init__(self, device: str, rate: int, channels: int, sample_bytes: int) -> None:
        try:
            import sounddevice
        except ImportError as e:
            raise ImportError("a microphone needs sounddevice: pip install 'bourn[microphone]'") from e
        except OSError as e:
            raise SourceError(f"a microphone needs the system's PortAudio ({e}): apt install libportaudio2") from None
        if sample_bytes not in TYPES:
            raise SourceError(f"a microphone gives samples of {', '.join(map(str, TYPES))} bytes")
        self.form = pcm(rate, channels, sample_bytes)
        self.overflows = 0
        block = max(1, rate * BLOCK_MS // 1000)
        self._blocks: queue.Queue[tuple[int, bytes]] = queue.Queue(maxsize=HELD_S * 1000 // BLOCK_MS)
        self._lost = 0  # frames since the last block that found room; only PortAudio's thread knows it
        try:
            self._stream: Any = sounddevice.RawInputStream(
                samplerate=rate,
                channels=channels,
                dtype=TYPES[sample_bytes],
                blocksize=block,
                device=int(device) if device.isdecimal() else device or None,
                callback=self._came,
            )
        except (sounddevice.PortAudioError, ValueError) as e:
            raise SourceError(
                f"the microphone cannot be opened: {e}; `python -m sounddevice` lists what there is"
            ) from None

    def _came(self, data: Any, frames: int, _time: Any, status: Any) -> None:
        """PortAudio's thread: it must not wait."""
        if status and status.input_overflow:
            self.overflows += 1  # PortAudio does not say how many frames
        try:
            self._blocks.put_nowait((self._lost, bytes(data)))
            self._lost = 0
        except queue.Full:
            self._lost += frames

    def run(self, recorder: Recorder, stop: threading.Event) -> None:
        """Give `recorder` everything until `stop` is set."""
        with self._stream:
            while not stop.is_set():
                try:
                    lost, data = self._blocks.get(timeout=0.5)
                except queue.Empty:
                    continue
                if lost:
                    recorder.skip(lost, "overflow")
                recorder.write(data)
