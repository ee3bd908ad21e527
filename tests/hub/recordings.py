"""What the recorder's tests share: a source that is a function of the frame's number, and what was stored remotely."""

import hashlib
import io
import itertools
import random

from bourn.hub.recorder.archive import unpacked
from bourn.hub.recorder.names import understood

BLOCK = 1 << 16


def source_bytes(first, end, frame_bytes, seed=0):
    """The bytes of frames first <= n < end: noise that anyone can make again, from any place on."""
    start, stop = first * frame_bytes, end * frame_bytes
    made = b"".join(
        random.Random(seed * 1_000_003 + number).randbytes(BLOCK) for number in range(start // BLOCK, -(-stop // BLOCK))
    )
    return made[start % BLOCK :][: stop - start]


def frames_in(name, data):
    """(epoch, first, end, the frames' bytes) of an object that was stored."""
    base = name.rsplit("/", 1)[1]
    file = understood(base) or understood(base + ".plain")
    assert file is not None, name
    content = b"".join(unpacked(io.BytesIO(data), file.packed))
    header = 44 if file.ending == "wav" else 0
    return file.epoch, file.first, file.end, content[header:]


def joined(objects):
    """All frames of one recording in order, from {name: bytes}; AssertionError for a hole or an overlap."""
    found = sorted(frames_in(name, data) for name, data in objects.items())
    assert len({epoch for epoch, *_ in found}) <= 1
    for (_, _, end, _), (_, first, _, _) in itertools.pairwise(found):
        assert end == first, f"frame {end} is followed by {first}"
    return b"".join(content for *_, content in found)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def fill(recording, files, seed=0, frame_bytes=4):
    """Record that many whole files from where the recording is, and let the keeper hear of them."""
    recorder = recording.recorder
    first = recorder.next_frame
    end = first + files * recorder._frames_per_file
    recorder.write(source_bytes(first, end, frame_bytes, seed))
    recording.keeper.step()


def work_off(recording, clock, steps=10_000):
    """Let the uploader work, and time pass as it wants, until nothing waits; how many passes that took."""
    for step in range(steps):
        recording.uploader.run_pass()
        if not recording.catalogue.rows("state IN ('sealed', 'archived', 'uploading', 'verified')", limit=1):
            return step + 1
        clock.advance(recording.uploader.wait_ms())
    raise AssertionError(f"still waiting: {recording.catalogue.counts()}, {recording.uploader.last_error}")
