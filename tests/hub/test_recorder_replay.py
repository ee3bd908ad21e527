"""Sound, 44.1 kHz x 2 channels, faster than real time, uploads failing half of the time: stored byte for byte."""

import hashlib
import os
import random
import threading
import time

import pytest
from recordings import frames_in, source_bytes
from s3_stub import S3Stub

from bourn.hub.recorder.backoff import Backoff
from bourn.hub.recorder.form import pcm
from bourn.hub.recorder.recording import Recording, Settings
from bourn.hub.recorder.store import ObjectStore
from bourn.hub.recorder.uploader import Rules

RATE = 44100


class Played:
    """The source, kept as one running sum: what was stored is hashed in order as it comes, and then dropped."""

    def __init__(self, seed):
        self.seed = seed
        self.sums = {}  # (first, end) -> sha256 of what is stored now; a retry replaces it
        self._lock = threading.Lock()

    def __call__(self, name, data):
        try:
            _, first, end, content = frames_in(name, data)
        except Exception:
            return False  # truncated or with a wrong byte by the server's own fault: read back, and sent again
        with self._lock:
            self.sums[first, end] = hashlib.sha256(content).hexdigest()
        return True


def replay(tmp_path, monkeypatch, seed, seconds, file_s):
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
        monkeypatch.setenv("AWS_" + name, value)
    rng, played = random.Random(seed), Played(seed)
    faults = ["500", "503", "reset", "lost-answer", "truncate", "wrong-sum", "403"]

    def plan(method, name):
        return rng.choice(faults) if method == "PUT" and rng.random() < 0.5 else None

    meant, begun = {}, time.monotonic()
    with S3Stub(plan, stored=played, retry_after_s=0) as stub:
        backoff = Backoff(base_s=0.002, cap_s=0.05, permanent_s=0.05)
        settings = Settings("hall", pcm(RATE, 2, 2), file_s * RATE, max_bytes=400 << 20, rules=Rules(backoff=backoff))
        store = ObjectStore(f"s3://bucket/p?endpoint={stub.address}")
        recording = Recording(str(tmp_path / "rec"), settings, store, rng=random.Random(seed))
        recording.start()
        for second in range(0, seconds, file_s):
            first = second * RATE
            end = min(second + file_s, seconds) * RATE
            data = source_bytes(first, end, 4, seed)
            meant[first, end] = hashlib.sha256(data).hexdigest()
            recording.recorder.write(data)
            while recording.space.used > 200 << 20:  # so much faster than real time that uploads fall behind
                time.sleep(0.05)
        assert recording.recorder.lost == 0 and recording.keeper.dropped == 0
        assert recording.close(120)
        took = time.monotonic() - begun
        assert played.sums == meant
        assert len(stub.objects) == len(meant)
        failures = recording.uploader.failures
        print(f"{seconds} s of sound in {took:.1f} s, {len(meant)} files, {failures} failed uploads")
        assert failures > len(meant) / 3
        assert [name for name in os.listdir(tmp_path / "rec") if name.startswith("hall")] == []
    assert took < seconds  # faster than real time


def test_ten_minutes_of_sound(tmp_path, monkeypatch, seed):
    replay(tmp_path, monkeypatch, seed, 600, 10)


@pytest.mark.soak
def test_a_day_of_sound(tmp_path, monkeypatch, seed):
    replay(tmp_path, monkeypatch, seed, 86400, 60)
