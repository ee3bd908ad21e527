"""What is recorded: files paced like a microphone, standard input, a command's output, sensor events."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable
from typing import IO, Any

from bourn.hub.recorder.form import LINES, Form, FormError, pcm
from bourn.hub.recorder.recorder import Recorder
from bourn.input_thing import InputThing

BLOCK_MS = 20  # of a paced file
READ = 1 << 16  # of a pipe
LOOK_S = 0.5  # how often it is looked whether to stop


class SourceError(Exception):
    """The source cannot be used; the text says why and what to do."""


class FileSource:
    """A WAV or raw file from `start` on, paced as it was recorded (`speed` times as fast; 0: as fast as it goes)."""

    def __init__(self, path: str, form: Form | None, speed: float = 1.0, start: int = 0) -> None:
        try:
            self._file: IO[bytes] = open(path, "rb")  # noqa: SIM115 - open as long as the source is
        except OSError as e:
            raise SourceError(f"{path} cannot be read: {e.strerror}") from None
        self._frames: int | None = None
        if form is None:
            form, self._frames = _wav(self._file, path)
        self.form = form
        self._speed = speed if form.rate else 0
        if start:
            if not form.frame_bytes:
                raise SourceError("lines cannot be continued in the middle; leave --resume out")
            self._file.seek(start * form.frame_bytes, os.SEEK_CUR)
            self._frames = None if self._frames is None else max(0, self._frames - start)

    def run(self, recorder: Recorder, stop: threading.Event, now: Callable[[], int] | None = None) -> None:
        """Give `recorder` everything, until it ends or `stop` is set. SourceError."""
        from bourn.clock import Clock

        now = now or Clock().now
        size = self.form.frame_bytes
        block = max(1, self.form.rate * BLOCK_MS // 1000) if self._speed else max(1, (1 << 20) // max(1, size))
        begun, done, left = now(), 0, self._frames
        cutter = Cutter(recorder)
        while not stop.is_set() and left != 0:
            data = self._file.read((block if left is None else min(block, left)) * max(1, size))
            if not data:
                break
            cutter.write(data)
            done += block
            left = None if left is None else max(0, left - block)
            if self._speed:
                ahead = done * 1000 / self.form.rate / self._speed - (now() - begun)
                if ahead > 0:
                    stop.wait(ahead / 1000)
        self._file.close()
        cutter.end()


class PipeSource:
    """Standard input, or what a command prints; frames as `form` says. The command ends with the recording."""

    def __init__(self, form: Form, command: str | None = None) -> None:
        self.form = form
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: IO[bytes] = sys.stdin.buffer
        if command is not None:
            try:
                self._process = subprocess.Popen(
                    shlex.split(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0
                )
            except (OSError, ValueError, IndexError) as e:
                raise SourceError(f"{command!r} cannot be run: {e}") from None
            assert self._process.stdout is not None
            self._pipe = self._process.stdout

    def run(self, recorder: Recorder, stop: threading.Event) -> None:
        """Give `recorder` everything, until it ends or `stop` is set. SourceError when the command failed."""
        import select

        cutter = Cutter(recorder)
        number = self._pipe.fileno()
        try:
            while not stop.is_set():
                due_s = recorder.rest()
                if not select.select([number], [], [], LOOK_S if due_s is None else min(LOOK_S, due_s))[0]:
                    continue
                data = os.read(number, READ)
                if not data:
                    break
                cutter.write(data)
        finally:
            cutter.end()
            if self._process is not None and stop.is_set():
                self._process.terminate()
        if self._process is not None:
            try:
                status = self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                status = self._process.wait(5)
            if status and not stop.is_set():
                raise SourceError(f"the command ended with status {status}")


class Cutter:
    """Gives a recorder whole frames (or lines), however the bytes come; `end` tells how many bytes were no frame."""

    LONGEST_LINE = 1 << 20

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._size = recorder.form.frame_bytes
        self._rest = b""

    def write(self, data: bytes) -> None:
        """The next bytes. SourceError for a line without an end."""
        data = self._rest + data if self._rest else data
        if self._size:
            whole = len(data) - len(data) % self._size
            if whole:
                self._recorder.write(memoryview(data)[:whole])
            self._rest = data[whole:]
            return
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            self._recorder.write(line + b"\n")
        if len(self._rest) > self.LONGEST_LINE:
            raise SourceError(f"a line of more than {self.LONGEST_LINE} bytes; use --frame-bytes for what is no text")

    def end(self) -> int:
        """The source has ended; a last line without an end gets one."""
        left, self._rest = self._rest, b""
        if left and not self._size:
            self._recorder.write(left + b"\n")
            return 0
        return len(left)


class EventSink(InputThing):
    """A sink for a flow of sensor events: each becomes a line `[sensor, ts, val]` of the recording, and a frame.

    `thing.connect(EventSink(recorder))`. A value that is no JSON is counted in `refused` and left out. A thread of its
    own syncs what came last where nothing follows.
    """

    form = LINES

    def __init__(self, recorder: Recorder) -> None:
        if recorder.form != LINES:
            raise FormError("events are recorded as lines: give the recorder the form LINES")
        self._recorder = recorder
        self._lock = threading.Lock()  # flows may come from several threads; a recorder has one writer
        self._wrote = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._rest, name="bourn-sync", daemon=True)
        self.refused = 0

    def on_next(self, x: Any) -> None:
        """Record one event."""
        try:
            line = json.dumps([x.sensor_id, x.ts, x.val], allow_nan=False, separators=(",", ":")) + "\n"
        except (TypeError, ValueError, AttributeError):
            self.refused += 1
            return
        with self._lock:
            self._recorder.write(line.encode())
            if self._thread.ident is None:
                self._thread.start()
        self._wrote.set()

    def on_completed(self) -> None:
        """The flow has ended: what is there is sealed."""
        with self._lock:
            self._recorder.close()
            self._ended = True
        self._wrote.set()

    def _rest(self) -> None:
        while not self._ended:
            self._wrote.wait()
            self._wrote.clear()
            due_s: float | None = 0.0
            while due_s is not None and not self._ended:
                time.sleep(due_s)
                with self._lock:
                    due_s = self._recorder.rest()


def _wav(file: IO[bytes], path: str) -> tuple[Form, int]:
    """Form and number of frames of a WAV file, which is left at its first sample."""
    try:
        with wave.open(file) as reader:  # does not close a file that it was given open
            form = pcm(reader.getframerate(), reader.getnchannels(), reader.getsampwidth())
            frames = reader.getnframes()
    except (wave.Error, EOFError, FormError) as e:
        raise SourceError(f"{path} is no WAV file of PCM samples: {e}") from None
    file.seek(0)
    head = file.read(1 << 16)
    at = head.find(b"data", 12)
    if at < 0:
        raise SourceError(f"{path} has no samples in its first 64 KiB")
    file.seek(at + 8)
    return form, frames
