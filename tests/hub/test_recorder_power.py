"""The power goes, and what was not synced with it: at most the sync interval is lost, nothing of what was stored."""

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from recording_peer import SOURCE_SEED
from recordings import frames_in, source_bytes
from s3_stub import S3Stub
from test_ack_after_commit import file_of, plain, strace
from test_faults import apply
from test_recorder_kill import ENV, HERE

from bourn.hub.recorder.adoption import adopt
from bourn.hub.recorder.archive import ArchiveError, contents
from bourn.hub.recorder.catalogue import Catalogue
from bourn.hub.recorder.form import pcm, raw
from bourn.hub.recorder.names import understood
from bourn.hub.recorder.recorder import Recorder
from bourn.hub.recorder.recording import Recording, Settings
from bourn.hub.recorder.space import Space
from bourn.testing import FaultyFiles, ManualClock, PowerCut

EPOCH = "0123456789abcdef"
SYNC_MS = 1000
FRAMES = 500  # of 4 bytes in a file of the process that is traced


def held(folder, header=0):
    """(first, end) of each file in the folder, whose frames are looked at."""
    found = []
    for name in os.listdir(folder):
        file = understood(name)
        if file is None or file.tmp:
            continue
        try:
            data = b"".join(contents(f"{folder}/{name}", file.packed or ".plain"))[header:]
        except ArchiveError:
            continue  # its original must be there
        end = file.end or file.first + len(data) // 4
        assert data[: (end - file.first) * 4] == source_bytes(file.first, end, 4, SOURCE_SEED), name
        found.append((file.first, end))
    return found


def covered(ranges):
    """Up to which frame there is no hole."""
    at = 0
    for first, end in sorted(ranges):
        if first > at:
            break
        at = max(at, end)
    return at


# -- the recorder alone, in virtual time


@pytest.mark.parametrize("form", [raw(4), pcm(8000, 2, 2)], ids=["raw", "wav"])
@pytest.mark.parametrize("trials", [40, pytest.param(500, marks=pytest.mark.soak)])
def test_at_most_the_interval_is_lost(tmp_path, seed, form, trials):
    rng = random.Random(seed)
    lost_most = cuts = 0
    for trial in range(trials):
        folder = str(tmp_path / f"{form.kind}-{trial}")
        os.mkdir(folder)
        catalogue = Catalogue(folder + ".db")
        for _ in range(3):
            start = catalogue.next_frame(EPOCH)
            assert start == covered(held(folder, form.header_bytes))
            clock = ManualClock()
            files = FaultyFiles(cut_after=rng.randint(1, 90), torn=rng.randint(0, 11), lose_unsynced=True)
            space = Space(1 << 30, 0)
            recorder = Recorder(folder, "n", EPOCH, form, rng.choice((7, 60, 5000)), start, space, lambda what: None,
                                clock, files, SYNC_MS)  # fmt: skip
            written = live(recorder, clock, rng)
            now = clock.now()
            adopt(folder, catalogue, clock.wall())
            reached = catalogue.next_frame(EPOCH)
            safe = max([start, *(frame for at, frame in written if at < now - SYNC_MS)])
            assert reached >= safe, f"frame {reached} is the last, {safe} was older than the interval"
            lost_most = max(lost_most, (written[-1][1] if written else start) - reached)
            cuts += 1
        catalogue.close()
    print(f"{cuts} power cuts, at most {lost_most} frames lost")
    assert lost_most


def live(recorder, clock, rng):
    """Record until the power goes: (when, the next frame) after each write."""
    written = []
    try:
        while True:
            count = rng.randint(1, 20)
            recorder.write(source_bytes(recorder.next_frame, recorder.next_frame + count, 4, SOURCE_SEED))
            written.append((clock.now(), recorder.next_frame))
            left = rng.choice((5, 50, 400, 5000))
            while left > 0:  # as a source does: it asks when the sync is due
                due_s = recorder.rest()
                step = left if due_s is None else min(left, max(1, int(due_s * 1000)))
                clock.advance(step)
                left -= step
    except PowerCut:
        return written


# -- the whole program: its system calls are recorded, and replayed up to any moment


class File:
    def __init__(self):
        self.durable, self.pending = bytearray(), []  # (offset, data); offset -1 - n: cut to n bytes
        self.size = 0


class Disk:
    """What is on the medium. Of what was not synced may survive: of the recorder's files, which only grow, what was
    written up to any byte; of SQLite's any write; of the names made, renamed and removed those up to any one.
    """

    def __init__(self):
        self.names, self.durable_names, self.pending_names = {}, {}, []
        self.safe = 0  # frames below it are synced under a name that is

    def file(self, name):
        if name not in self.names:
            self.names[name] = File()
            self._named(name, self.names[name])
        return self.names[name]

    def _named(self, name, file):
        self.pending_names.append((name, file))

    def write(self, name, offset, data):
        file = self.file(name)
        offset = file.size if offset is None else offset
        file.pending.append((offset, data))
        file.size = max(file.size, offset + len(data))

    def truncate(self, name, size):
        file = self.file(name)
        file.pending.append((-1 - size, b""))
        file.size = size

    def sync(self, name):
        file = self.file(name)
        for write in file.pending:
            apply(file.durable, *write)
        file.pending.clear()
        if name.startswith("catalogue"):  # SQLite knows its file systems
            self.durable_names[name] = file
        self._count()

    def sync_folder(self):
        for name, file in self.pending_names:
            self.durable_names.pop(name, None)
            if file is not None:
                self.durable_names[name] = file
        self.pending_names.clear()
        self._count()

    def _count(self):
        for name, file in self.durable_names.items():
            known = understood(name)
            if known and not known.packed:
                self.safe = max(self.safe, known.first + len(file.durable) // 4)

    def rename(self, old, new):
        file = self.names.pop(old)
        self.names[new] = file
        self.pending_names += [(new, file), (old, None)]

    def unlink(self, name):
        self.names.pop(name, None)
        if name.startswith("catalogue"):
            self.durable_names.pop(name, None)
            self.pending_names = [one for one in self.pending_names if one[0] != name]
        else:
            self.pending_names.append((name, None))

    def after_power_loss(self, rng):
        """The files as the next start finds them."""
        names = dict(self.durable_names)
        upto = rng.randint(0, len(self.pending_names))
        while 0 < upto < len(self.pending_names) and self.pending_names[upto][1] is None:
            upto += 1  # both halves of a rename
        for name, file in self.pending_names[:upto]:
            names.pop(name, None)
            if file is not None:
                names[name] = file
        return {name: self._survives(name, file, rng) for name, file in names.items()}

    def _survives(self, name, file, rng):
        image, pending = bytearray(file.durable), file.pending
        if name.startswith("catalogue"):
            how = rng.choice((0.0, 0.5, 1.0))
            pending = [one for one in pending if rng.random() < how]
        else:
            pending = pending[: rng.randint(0, len(pending))]
        for number, (offset, data) in enumerate(pending):
            torn = (
                rng.randint(0, len(data)) if number == len(pending) - 1 and not name.startswith("catalogue") else None
            )
            apply(image, offset, data[:torn])
        return bytes(image)


def calls_in(trace):
    """(when, name, call) of each call that returned, in the order of their returns."""
    unfinished = {}
    for line in trace.read_text(errors="replace").splitlines():
        found = re.match(r"(\d+) +(\d+\.\d+) (.*)", line)
        if found is None:
            continue
        thread, when, call = found[1], float(found[2]), found[3]
        if call.endswith("<unfinished ...>"):
            unfinished[thread] = call.removesuffix("<unfinished ...>")
            continue
        if call.startswith("<..."):
            call = unfinished.pop(thread) + call.split("resumed>", 1)[1]
        if not re.search(r"= -1 E\w+", call):
            yield when, call.partition("(")[0], call


def follow(disk, folder, name, call):
    """What one call did to the disk."""
    texts = [plain(one).decode(errors="replace") for one in re.findall(r'"((?:\\x[0-9a-f]{2})*)"', call)[:2]]
    path = texts[0] if name in ("rename", "unlink") else file_of(call)
    if path.rstrip("/") == folder and name in ("fsync", "fdatasync"):
        disk.sync_folder()
        return
    if os.path.dirname(path) != folder or path.endswith(("-shm", "/lock")):
        return
    file = os.path.basename(path)
    if name in ("write", "pwrite64"):
        found = re.search(r'"((?:\\x[0-9a-f]{2})*)", \d+(?:, (\d+))? *\) += (\d+)', call)
        assert found, call[:200]
        disk.write(file, int(found[2]) if name == "pwrite64" else None, plain(found[1])[: int(found[3])])
    elif name == "ftruncate":
        disk.truncate(file, int(re.findall(r", (\d+) *\)", call)[-1]))
    elif name in ("fsync", "fdatasync"):
        disk.sync(file)
    elif name == "rename":
        disk.rename(file, os.path.basename(texts[1]))
    elif name == "unlink":
        disk.unlink(file)


@pytest.mark.parametrize("cuts", [50, pytest.param(1500, marks=pytest.mark.soak)])
def test_the_power_may_go_at_any_moment(tmp_path, seed, cuts):
    rng = random.Random(seed)
    folder, trace = tmp_path / "rec", tmp_path / "trace"
    stored = []  # (when, name, bytes), each upload that was accepted, damaged ones too
    faults = ["500", "reset", "lost-answer", "truncate", "wrong-sum"]

    def plan(method, name):
        return rng.choice(faults) if method == "PUT" and rng.random() < 0.3 else None

    traced = "trace=write,pwrite64,fdatasync,fsync,ftruncate,rename,unlink"
    tracer = [strace(), "-f", "-ttt", "-y", "-xx", "-s", "300000", "-e", traced, "-e", "signal=none", "-o", str(trace)]
    with S3Stub(plan, lambda name, data: stored.append((time.time(), name, data))) as stub:
        peer = [sys.executable, str(HERE / "recording_peer.py"), str(folder), stub.address, str(seed), str(FRAMES)]
        done = subprocess.run([*tracer, *peer, str(FRAMES * 30)], env=ENV, check=False, timeout=90, capture_output=True)
        assert done.returncode == 0, done.stderr
    calls = list(calls_in(trace))
    checked, lost, gone = replay(calls, str(folder), stored, random.Random(seed), cuts)
    print(f"{checked} power cuts, {lost} writes that were not synced, {gone} with frames that were only remote")
    assert checked > cuts // 2 and lost and gone
    with pytest.raises(AssertionError):  # and it can fail: had the store not had what it said it has
        replay(calls, str(folder), [], random.Random(seed), cuts)


def replay(calls, folder, stored, rng, times):
    """Let the power go so often; how often a recording was opened after it, what was not synced, and what was away."""
    cuts = sorted(rng.sample(range(len(calls)), min(times, len(calls))))
    disk, checked, lost, gone = Disk(), 0, 0, 0
    for number, (when, name, call) in enumerate(calls):
        if cuts and cuts[0] <= number:
            cuts.pop(0)
            remote = {name: data for at, name, data in stored if at <= when}
            lost += sum(len(file.pending) for file in disk.names.values())
            gone += survives(disk.after_power_loss(rng), remote, disk.safe)
            checked += 1
        follow(disk, folder, name, call)
    return checked, lost, gone


def survives(found, remote, safe):
    """A recording is opened with these files: every frame that was synced is here, or verified there."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        for name, data in found.items():
            (Path(folder) / name).write_bytes(data)
        recording = Recording(folder, Settings("k", raw(4), FRAMES), None)
        try:
            here = held(folder)
            there = []
            for name, data in remote.items():
                try:
                    _, first, end, content = frames_in(name, data)
                except (ArchiveError, EOFError, OSError):
                    continue  # one that was accepted and truncated
                if content == source_bytes(first, end, 4, SOURCE_SEED):
                    there.append((first, end))
            assert covered(here + there) >= safe, f"of {safe} frames that were synced"
            assert {row.state for row in recording.catalogue.rows()} <= {"sealed", "archived", "deleted"}
            if any(understood(os.path.basename(name)).epoch == recording.epoch for name in remote):
                assert recording.recorder.next_frame >= max(end for _, end in [*there, (0, 0)])
            return covered(here) < safe
        finally:
            recording.catalogue.close()
            recording._lock.close()
