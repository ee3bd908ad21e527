"""A small disk: a day without a network on 20 MB, and every policy; then the network comes back."""

import random
import subprocess

import pytest
from recordings import fill, frames_in, source_bytes, work_off
from servers import not_allowed

from bourn.hub.recorder.adoption import files_of
from bourn.hub.recorder.form import raw
from bourn.hub.recorder.keeper import Limits
from bourn.hub.recorder.recording import Recording, Settings
from bourn.hub.recorder.space import free_bytes
from bourn.hub.recorder.store import Failure
from bourn.testing import ManualClock

RATE = 400  # of frames of 2 bytes: vibration
FILE_S = 300
FRAMES = FILE_S * RATE
FILES = 86400 // FILE_S
DISK = 20 << 20


@pytest.fixture
def disk(tmp_path):
    """A file system of 20 MB; where none can be mounted (no root), a folder: the bound is then --max-bytes alone."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], check=False, capture_output=True
    ).returncode
    yield folder, mounted
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Network:
    """A store that is away until `up`; it keeps what it gets."""

    def __init__(self):
        self.up, self.tries, self.objects = False, 0, {}

    def upload(self, path, name, paced, sha256, read_back):
        self.tries += 1
        if not self.up:
            raise Failure("the network is down")
        with open(path, "rb") as file:
            self.objects[name] = file.read()


def open_recording(folder, network, clock, seed, frames=FRAMES, max_bytes=16 << 20, **limits):
    settings = Settings("v", raw(2, RATE), frames, max_bytes=max_bytes, limits=Limits(**limits))
    return Recording(str(folder), settings, network, clock, random.Random(seed))


def pass_time(recording, clock, files, seed, check=None):
    for _ in range(files):
        fill(recording, 1, seed, 2)
        clock.advance(FILE_S * 1000)
        recording.uploader.run_pass()
        if check:
            check()


def finish(recording):
    recording.catalogue.close()
    recording._lock.close()


@pytest.mark.parametrize("max_bytes", [16 << 20, 1 << 40], ids=["by its bound", "by what the disk has"])
def test_a_day_without_network_on_20_mb(disk, seed, max_bytes):
    folder, mounted = disk
    if max_bytes > DISK and not mounted:
        not_allowed("root that may mount a tmpfs")
    clock, network = ManualClock(), Network()
    recording = open_recording(folder, network, clock, seed, max_bytes=max_bytes)
    most = []
    pass_time(recording, clock, FILES, seed, lambda: most.append(sum(size for _, size in files_of(str(folder)))))
    assert recording.recorder.lost == 0 and recording.recorder.recorded == FILES * FRAMES
    assert max(most) <= min(max_bytes, DISK)
    assert not mounted or free_bytes(str(folder)) > 0
    rows = recording.catalogue.rows()
    states = [row.state for row in rows]
    dropped = states.count("dropped")
    assert states == ["dropped"] * dropped + ["archived"] * (FILES - dropped)  # the oldest, and no other
    assert recording.keeper.dropped == dropped > 200 and FILES - dropped > 40
    assert {row.reason for row in rows[:dropped]} == {"drop_oldest"}
    assert network.tries < 400  # backed off: a day in pauses of up to 10 minutes, while files come every 5

    network.up = True  # and nobody triggers anything
    clock.advance(recording.uploader.wait_ms())
    recording.uploader.run_pass()
    found = sorted(frames_in(name, data)[1:] for name, data in network.objects.items())
    assert [first for first, *_ in found] == [row.first for row in rows[dropped:]]
    assert b"".join(content for *_, content in found) == source_bytes(rows[dropped].first, FILES * FRAMES, 2, seed)
    assert {row.state for row in recording.catalogue.rows()} == {"dropped", "deleted"}
    assert [name for name, _ in files_of(str(folder))] == []
    finish(recording)


def test_stop_recording_keeps_the_oldest_and_counts_the_rest(tmp_path, seed):
    clock, network = ManualClock(), Network()
    recording = open_recording(tmp_path / "d", network, clock, seed, 10_000, 400_000, policy="stop_recording")
    pass_time(recording, clock, 40, seed)
    recorder = recording.recorder
    assert recorder.lost > 0 and recorder.recorded + recorder.lost == 400_000
    kept = recording.catalogue.rows("state = 'archived'")
    assert kept[0].first == 0 and recording.keeper.dropped == 0
    assert sum(size for _, size in files_of(recording.folder)) <= 400_000
    network.up = True
    work_off(recording, clock)
    pass_time(recording, clock, 5, seed)  # there is room again: recording goes on by itself
    recorder.close()
    recording.keeper.step()
    recording.uploader.run_pass()
    gaps = recording.catalogue.gaps()
    assert {gap.reason for gap in gaps} == {"full"} and sum(gap.end - gap.first for gap in gaps) == recorder.lost
    ranges = sorted([f[1:3] for f in (frames_in(*one) for one in network.objects.items())]
                    + [(gap.first, gap.end) for gap in gaps])  # fmt: skip
    assert ranges[0][0] == 0 and ranges[-1][1] == 450_000
    assert all(one[1] == two[0] for one, two in zip(ranges, ranges[1:], strict=False))  # noqa: RUF007 - shown in pairs
    finish(recording)


def test_thin_keeps_every_nth_over_the_whole_time(tmp_path, seed):
    clock, network = ManualClock(), Network()
    recording = open_recording(tmp_path / "d", network, clock, seed, 10_000, 500_000, policy="thin", thin=2)
    pass_time(recording, clock, 60, seed)
    kept = [row.id for row in recording.catalogue.rows("state = 'archived'")]
    assert recording.recorder.lost == 0 and recording.keeper.dropped == 60 - len(kept)
    old = [one for one in kept if one < 40]
    assert old and all(one % 2 == 0 for one in old)  # what is old is thinned, not gone
    assert old[0] <= 16 and len(kept) >= 12
    finish(recording)


def test_a_file_that_is_being_uploaded_is_not_dropped(tmp_path, seed):
    clock, network = ManualClock(), Network()
    recording = open_recording(tmp_path / "d", network, clock, seed, 10_000, 300_000)
    fill(recording, 1, seed, 2)

    class Slow(Network):
        def upload(self, path, name, paced, sha256, read_back):
            for _ in range(40):
                fill(recording, 1, seed, 2)
            super().upload(path, name, paced, sha256, read_back)

    slow = recording.uploader._store = Slow()
    slow.up = True
    row = recording.catalogue.rows("state = 'sealed'")[0]
    assert recording.uploader._archive(row)
    recording.uploader._upload(recording.uploader._due())
    assert frames_in(*next(iter(slow.objects.items())))[3] == source_bytes(0, 10_000, 2, seed)
    assert recording.keeper.dropped > 10 and recording.recorder.lost == 0
    finish(recording)
