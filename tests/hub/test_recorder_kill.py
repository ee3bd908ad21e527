"""kill -9 at any moment, uploads failing half of the time: no frame missing, every file here or verified there."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from recording_peer import SOURCE_SEED
from recordings import frames_in, joined, source_bytes
from s3_stub import S3Stub

from bourn.hub.recorder.archive import ArchiveError, contents
from bourn.hub.recorder.catalogue import Catalogue, CatalogueError
from bourn.hub.recorder.names import understood

HERE = Path(__file__).resolve().parent
FRAMES, FILES = 500, 200
ENV = {
    **os.environ,
    "PYTHONPATH": f"{HERE.parents[1] / 'src'}:{HERE}",
    **{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"},
}


def start(folder, stub, seed, end):
    args = [str(folder), stub.address, str(seed), str(FRAMES), str(end)]
    return subprocess.Popen(
        [sys.executable, str(HERE / "recording_peer.py"), *args], env=ENV, stdout=subprocess.PIPE, text=True
    )


def check(folder, stub):
    """The invariant, with nobody running: frames 0 to the last are all somewhere, with the right bytes."""
    ranges = []
    for name in os.listdir(folder):
        file = understood(name)
        if file is None or file.tmp:
            continue
        if file.packed:
            try:
                data = b"".join(contents(f"{folder}/{name}", file.packed))
            except ArchiveError:
                continue  # it does not count; its original must be there
        else:
            data = (folder / name).read_bytes()
        frames = len(data) // 4
        assert data[: frames * 4] == source_bytes(file.first, file.first + frames, 4, SOURCE_SEED)
        assert not file.end or file.end == file.first + frames
        ranges.append((file.first, file.first + frames))
    for name, found in list(stub.objects.items()):
        try:
            _, first, end, data = frames_in(name, found.data)
        except (ArchiveError, EOFError, OSError):
            continue  # truncated or with a wrong byte: it does not count either
        if data == source_bytes(first, end, 4, SOURCE_SEED):
            ranges.append((first, end))
    at = 0
    for first, end in sorted(ranges):
        assert first <= at, f"frames {at} to {first} are neither here nor there"
        at = max(at, end)
    # One row, one name: nothing was stored under a name that no row has.
    db = Catalogue(f"{folder}/catalogue.db", read_only=True)
    known = {row.remote for row in db.rows("remote IS NOT NULL")}
    db.close()
    assert {name.removeprefix("bucket/p/") for name in stub.objects} <= known
    return at


def test_kill_at_random_moments_with_uploads_that_fail(tmp_path, seed):
    rng = random.Random(seed)
    faults = ["500", "503", "reset", "lost-answer", "truncate", "wrong-sum", "403"]
    folder = tmp_path / "rec"

    def plan(method, name):
        return rng.choice(faults) if method == "PUT" and rng.random() < 0.5 else None

    with S3Stub(plan, retry_after_s=0) as stub:
        reached = [0]
        for _ in range(7):
            process = start(folder, stub, rng.randrange(1 << 30), FRAMES * FILES)
            told = process.stdout.readline().split()
            assert told[0] == "ready" and int(told[1]) <= FRAMES * FILES
            time.sleep(rng.uniform(0.0, 0.3))
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            process.stdout.close()
            reached.append(check(folder, stub))
            assert reached[-1] >= reached[-2]  # nothing that was there has gone
        process = start(folder, stub, rng.randrange(1 << 30), FRAMES * FILES)
        out, _ = process.communicate(timeout=90)
        assert out.endswith("done\n") and process.returncode == 0
        stored = {name: found.data for name, found in stub.objects.items()}
        assert len(stored) > FILES  # a kill cuts a file short, so there are some more
        assert joined(stored) == source_bytes(0, FRAMES * FILES, 4, SOURCE_SEED)
        assert not [name for name in os.listdir(folder) if understood(name)]
        print(f"{len(stored)} files, killed at frames {reached[1:]}, {len(stub.history)} requests")


def test_idle_takes_less_than_one_percent_of_a_core(tmp_path):
    """With a source that says nothing, a store that refuses connections, and files that wait for it."""
    command = ["record", "--from", "stdin:", "--frame-bytes", "10", "--file", "10", "--folder", "rec"]
    command += ["--to", "s3://bucket/p?endpoint=http://127.0.0.1:9", "--linger", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "bourn.cli", *command], cwd=tmp_path, env=ENV, stdin=subprocess.PIPE
    )
    try:
        process.stdin.write(b"x" * 1000)
        process.stdin.flush()
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(CatalogueError):  # until there is one
                db = Catalogue(str(tmp_path / "rec" / "catalogue.db"), read_only=True)
                waiting, pause = db.rows("state = 'archived'"), db.meta("pause")
                db.close()
                # Between two tries: what a try itself costs is not idling.
                if len(waiting) == 10 and pause and pause["at"] - time.time() * 1000 > 2500:
                    break
            time.sleep(0.05)
        else:
            pytest.fail("it never came to wait")
        seen = psutil.Process(process.pid)
        before = sum(seen.cpu_times()[:2])
        time.sleep(2.2)
        used = sum(seen.cpu_times()[:2]) - before
        assert used / 2.2 < 0.01, f"{used:.3f} s of CPU in 2.2 s"
    finally:
        process.stdin.close()
        process.wait(20)
