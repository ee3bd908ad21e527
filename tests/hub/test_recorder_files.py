"""Recorder and keeper alone: no gap between files, whatever disk and catalogue do; orphans by rule; triggers."""

import errno
import os
import random
import sqlite3
import sys
import threading
import wave

import pytest
from recordings import fill, source_bytes

from bourn.clock import Clock
from bourn.hub.recorder.catalogue import Catalogue, CatalogueError
from bourn.hub.recorder.form import LINES, FormError, pcm, raw
from bourn.hub.recorder.keeper import HAND_OVER, Triggers
from bourn.hub.recorder.names import understood
from bourn.hub.recorder.recorder import Gap, Opened, Recorder, Sealed
from bourn.hub.recorder.recording import Recording, Settings
from bourn.hub.recorder.source import EventSink, FileSource, PipeSource
from bourn.hub.recorder.space import Space
from bourn.hub.recorder.store import Failure
from bourn.testing import ManualClock
from bourn.testing.files import Files
from bourn.things import SensorEvent

EPOCH = "0123456789abcdef"


class Away:
    def upload(self, *_):
        raise Failure("away")


def recorder_in(folder, form, frames, told, clock=None, files=None, limit=1 << 30, sync_ms=1000):
    folder.mkdir(exist_ok=True)
    clock = clock or ManualClock()
    return Recorder(str(folder), "n", EPOCH, form, frames, 0, Space(limit, 0), told.append, clock, files, sync_ms)


def contents_of(folder):
    found = sorted((understood(name), name) for name in os.listdir(folder) if understood(name))
    return [(file.first, file.end, (folder / name).read_bytes()) for file, name in found]


@pytest.fixture
def opened(tmp_path):
    """Recordings in one folder, opened again and again as by new processes."""
    held = []

    def again(clock=None, form=None, frames=100, **settings):
        while held:
            held[-1]._lock.close()
            held.pop().catalogue.close()
        made = Settings("n", form or raw(4), frames, **settings)
        held.append(Recording(str(tmp_path / "rec"), made, Away(), clock or ManualClock(), random.Random(1)))
        return held[-1]

    yield again
    while held:
        held[-1]._lock.close()
        held.pop().catalogue.close()


def test_files_follow_each_other_whatever_the_pieces(tmp_path, seed):
    rng, told, data = random.Random(seed), [], source_bytes(0, 10_050, 4, seed)
    recorder = recorder_in(tmp_path / "r", raw(4), 1000, told)
    at = 0
    while at < len(data):
        size = 4 * rng.choice([1, 7, 999, 1000, 1001, 2500])
        recorder.write(data[at : at + size])
        at += size
    recorder.close()
    found = contents_of(tmp_path / "r")
    assert [(first, end) for first, end, _ in found] == [(n * 1000, min(10_050, n * 1000 + 1000)) for n in range(11)]
    assert b"".join(content for *_, content in found) == data
    assert [type(one) for one in told] == [Opened, Sealed] * 11
    with pytest.raises(ValueError, match="no whole frames of 4"):
        recorder.write(b"123")


def test_wav_files_can_be_played_also_short_ones(tmp_path):
    told = []
    recorder = recorder_in(tmp_path / "r", pcm(8000, 2, 2), 800, told)
    recorder.write(source_bytes(0, 1000, 4))
    recorder.close()
    lengths = []
    for name in sorted(os.listdir(tmp_path / "r")):
        with wave.open(str(tmp_path / "r" / name)) as file:
            assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
            lengths.append(file.getnframes())
    assert lengths == [800, 200]
    import hashlib

    for one in told:
        if isinstance(one, Sealed):
            assert hashlib.sha256((tmp_path / "r" / one.file.sealed).read_bytes()).hexdigest() == one.sha256
    with pytest.raises(FormError, match="4 GiB"):
        recorder_in(tmp_path / "r", pcm(48000, 8, 4), 1 << 28, told)


def test_a_disk_that_refuses_makes_a_gap_and_no_error(tmp_path, seed):
    """ENOSPC at any write, also in the middle of a frame; every frame is in a file or in a gap."""
    rng, clock, told = random.Random(seed), ManualClock(), []

    class Full(Files):
        full = False

        def open(self, path, mode):
            if Full.full and "b" in mode and mode != "rb":
                raise OSError(errno.ENOSPC, "No space left on device")
            file = super().open(path, mode)
            return Reluctant(file) if mode != "rb" else file

    class Reluctant:
        def __init__(self, file):
            self._file = file

        def write(self, data):
            if Full.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            if rng.random() < 0.05:
                Full.full = True
                return self._file.write(data[: rng.randrange(len(data))])
            return self._file.write(data)

        def __getattr__(self, name):
            return getattr(self._file, name)

    recorder = recorder_in(tmp_path / "r", raw(4), 500, told, clock, Full())
    for piece in range(400):
        recorder.write(source_bytes(piece * 90, piece * 90 + 90, 4, seed))
        clock.advance(100)
        if Full.full and rng.random() < 0.1:
            Full.full = False
    Full.full = False
    clock.advance(2000)
    recorder.write(source_bytes(36_000, 36_001, 4, seed))
    recorder.close()
    gaps = [one for one in told if isinstance(one, Gap)]
    found = contents_of(tmp_path / "r")
    for first, end, content in found:
        assert content == source_bytes(first, end, 4, seed)
    ranges = sorted([(first, end) for first, end, _ in found] + [(gap.first, gap.end) for gap in gaps])
    assert ranges[0][0] == 0 and ranges[-1][1] == 36_001
    assert all(one[1] == two[0] for one, two in zip(ranges, ranges[1:], strict=False))  # noqa: RUF007 - shown in pairs
    assert recorder.lost == sum(gap.end - gap.first for gap in gaps) > 0 and recorder.refusals > 0
    assert recorder.recorded + recorder.lost == 36_001


def test_frames_that_never_came_are_a_gap_and_the_next_one_is_kept(tmp_path):
    told = []
    recorder = recorder_in(tmp_path / "r", raw(4), 100, told)
    recorder.write(source_bytes(0, 50, 4))
    recorder.skip(30, "overflow")
    recorder.write(source_bytes(80, 100, 4))
    recorder.close()
    assert [(first, end) for first, end, _ in contents_of(tmp_path / "r")] == [(0, 50), (80, 100)]
    assert [one[1:4] for one in told if isinstance(one, Gap)] == [(50, 80, "overflow")]
    assert (recorder.recorded, recorder.lost) == (70, 30)


def test_it_syncs_at_intervals_and_before_the_name_says_sealed(tmp_path):
    clock, done = ManualClock(), []

    class Watched(Files):
        def sync(self, file):
            done.append("sync")
            super().sync(file)

        def rename(self, old, new):
            done.append("rename")
            super().rename(old, new)

        def sync_folder(self, path):
            done.append("folder")
            super().sync_folder(path)

    recorder = recorder_in(tmp_path / "r", raw(1), 100, [], clock, Watched())
    for _ in range(100):
        recorder.write(b"x")
        clock.advance(100)
    assert done == ["sync", "folder"] + ["sync"] * 8 + ["sync", "rename", "folder"]  # its name, too, from the first on


def test_what_came_last_is_synced_also_if_nothing_follows(tmp_path):
    clock, synced = ManualClock(), []

    class Watched(Files):
        def sync(self, file):
            synced.append(clock.now())
            super().sync(file)

    recorder = recorder_in(tmp_path / "r", raw(1), 100, [], clock, Watched())
    assert recorder.rest() is None
    recorder.write(b"x")
    assert recorder.rest() == 1.0
    clock.advance(600)
    assert recorder.rest() == pytest.approx(0.4) and synced == []
    clock.advance(400)
    assert recorder.rest() is None and synced == [clock.now()]
    clock.advance(5000)
    assert recorder.rest() is None and len(synced) == 1  # nothing is new


def test_a_flow_that_pauses_and_a_pipe_that_is_silent_are_synced(tmp_path):
    synced = threading.Event()

    class Watched(Files):
        def sync(self, file):
            super().sync(file)
            synced.set()

    recorder = recorder_in(tmp_path / "r", LINES, 100, [], Clock(), Watched(), sync_ms=20)
    sink = EventSink(recorder)
    sink.on_next(SensorEvent("s", 1, 2))
    assert synced.wait(10)
    sink.on_completed()
    sink._thread.join(10)
    assert not sink._thread.is_alive()

    recorder = recorder_in(tmp_path / "p", LINES, 100, [], Clock(), Watched(), sync_ms=20)
    synced.clear()
    stop = threading.Event()
    source = PipeSource(LINES, f"{sys.executable} -c \"import time; print('x', flush=True); time.sleep(60)\"")
    thread = threading.Thread(target=source.run, args=(recorder, stop))
    thread.start()
    assert synced.wait(20) and recorder.sealed == 0
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


def test_events_are_lines_and_what_is_no_json_is_counted(tmp_path):
    recorder = recorder_in(tmp_path / "r", LINES, 2, [])
    sink = EventSink(recorder)
    for val in (1, [2.5, "x"], float("nan"), object(), None):
        sink.on_next(SensorEvent("s", 1700000000000, val))
    sink.on_completed()
    assert sink.refused == 2
    lines = b"".join(content for *_, content in contents_of(tmp_path / "r"))
    assert lines == b'["s",1700000000000,1]\n["s",1700000000000,[2.5,"x"]]\n["s",1700000000000,null]\n'


def test_a_file_is_paced_like_a_microphone(tmp_path):
    (tmp_path / "in.raw").write_bytes(source_bytes(0, 8000, 2))
    clock = ManualClock()

    class Stop:
        def is_set(self):
            return False

        def wait(self, seconds):
            clock.advance(max(1, round(seconds * 1000)))

    recorder = recorder_in(tmp_path / "r", pcm(8000, 1, 2), 3000, [], clock)
    FileSource(str(tmp_path / "in.raw"), recorder.form, 2.0).run(recorder, Stop(), clock.now)
    assert recorder.recorded == 8000 and 480 <= clock.now() <= 520  # a second of sound, twice as fast


# -- the catalogue may be away, and is right afterwards


def test_the_recorder_goes_on_without_the_catalogue(opened, tmp_path):
    recording = opened()
    other = sqlite3.connect(tmp_path / "rec" / "catalogue.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    recording.catalogue._db.execute("PRAGMA busy_timeout=0")
    recorder, keeper = recording.recorder, recording.keeper
    for piece in range(HAND_OVER):  # twice as many things to tell as the hand-over holds
        recorder.write(source_bytes(piece * 100, piece * 100 + 100, 4))
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        keeper.step()
    assert keeper.overflows > 0 and recorder.lost == 0 and recorder.sealed == HAND_OVER
    other.execute("COMMIT")
    keeper.step()
    keeper.step()
    rows = recording.catalogue.rows("state = 'sealed'")
    assert [row.first for row in rows] == [n * 100 for n in range(HAND_OVER)]
    other.close()


def test_a_gap_is_told_also_where_the_hand_over_is_full(opened):
    recording = opened()
    for _ in range(HAND_OVER):
        recording.recorder.write(source_bytes(0, 100, 4))
    recording.recorder.skip(7, "overflow")
    recording.recorder.close()
    assert recording.keeper.overflows > HAND_OVER // 2 and recording.recorder.lost == 7
    recording.keeper.step()
    assert [one[1:4] for one in recording.catalogue.gaps()] == [(HAND_OVER * 100, HAND_OVER * 100 + 7, "overflow")]
    assert len(recording.catalogue.rows("state = 'sealed'")) == HAND_OVER


def test_orphans_are_adopted_or_removed_by_rule(opened, tmp_path):
    folder = tmp_path / "rec"
    recording = opened()
    fill(recording, 6)
    for row in recording.catalogue.rows(limit=3):
        assert recording.uploader._archive(row)
    rows = recording.catalogue.rows()
    db = recording.catalogue
    name = rows[3].file
    # 0: archived, and its original is still there. 1: its archive was removed by somebody. 2: uploading at the crash.
    (folder / rows[0].file.sealed).write_bytes(source_bytes(0, 100, 4))
    (folder / rows[1].archive).unlink()
    db.move(rows[2].id, "uploading", ["archived"])
    # 3: an archive without a row's word for it, beside its original. 4: verified, not removed. 5: no row at all.
    (folder / (name.sealed + ".tar.zst")).write_bytes(b"half of it")
    (folder / (name.sealed + ".tar.zst.tmp")).write_bytes(b"less")
    db.move(rows[4].id, "verified", ["sealed"])
    db._db.execute("DELETE FROM file WHERE id = ?", (rows[5].id,))
    # What was being written: 7 frames and a piece; and one without a whole frame.
    part = rows[5].file._replace(first=600, end=0)
    (folder / part.part).write_bytes(source_bytes(600, 607, 4) + b"12")
    (folder / part._replace(first=900).part).write_bytes(b"123")
    (folder / "notes.txt").write_text("mine")

    recording = opened()
    told = recording.adopted
    assert (told.sealed, told.cut, told.missing, told.foreign) == (2, 1, 1, 1)
    found = {row.first: row for row in recording.catalogue.rows()}
    assert [found[n].state for n in (0, 100, 200, 300, 400, 500, 600)] == [
        "archived", "missing", "archived", "sealed", "deleted", "sealed", "sealed"]  # fmt: skip
    left = sorted(name for name in os.listdir(folder) if understood(name))
    assert left == sorted([found[0].archive, found[200].archive, *(found[n].file.sealed for n in (300, 500, 600))])
    assert (folder / found[600].file.sealed).read_bytes() == source_bytes(600, 607, 4)
    assert found[500].sha256 == rows[5].sha256
    assert recording.recorder.next_frame == 607 and (folder / "notes.txt").exists()
    # A second look changes nothing.
    assert opened().adopted._replace(foreign=0, sealed=0, archives=0) == (0, 0, 0, 0, 0, 0)


def test_without_its_catalogue_a_folder_is_adopted_under_the_same_names(opened, tmp_path):
    recording = opened()
    fill(recording, 4)
    for row in recording.catalogue.rows(limit=2):
        recording.uploader._archive(row)
    before = [row._replace(id=0, sealed_at=0, archived_at=0) for row in recording.catalogue.rows()]
    epoch = recording.epoch
    for name in ("catalogue.db", "catalogue.db-wal", "catalogue.db-shm"):
        (tmp_path / "rec" / name).unlink(missing_ok=True)
    recording = opened()
    after = [row._replace(id=0, sealed_at=0, archived_at=0) for row in recording.catalogue.rows()]
    assert after == before
    assert recording.epoch != epoch  # numbers that were used before do not come back with other data


def test_a_folder_belongs_to_one_process_and_a_newer_catalogue_is_refused(opened, tmp_path):
    opened()
    with pytest.raises(CatalogueError, match="another program records into"):
        Recording(str(tmp_path / "rec"), Settings("n", raw(4), 100), Away(), ManualClock())
    other = tmp_path / "newer.db"
    with sqlite3.connect(other) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(CatalogueError, match="version 99"):
        Catalogue(str(other))


# -- triggers


@pytest.mark.parametrize(
    ("triggers", "files", "after_s"),
    [
        (Triggers(files=3), 3, 0),
        (Triggers(files=0, bytes=1500), 4, 0),
        (Triggers(files=0, age_s=60), 1, 60),
        (Triggers(files=0, every_s=3600), 0, 2800),  # the manual clock begins 800 s after a full hour
        (Triggers(files=0, free_bytes=1 << 60), 1, 0),
        (Triggers(files=0), 9, 10**6),  # all off
    ],
)
def test_each_trigger_alone(opened, triggers, files, after_s):
    clock = ManualClock()
    recording = opened(clock, triggers=triggers)
    called = []
    recording.uploader.trigger = lambda: called.append(clock.now())
    for n in range(files):
        assert not called, n
        fill(recording, 1)
    if after_s:
        assert not called
        wait_s = recording.keeper._wait_s()
        clock.advance(after_s * 1000 - 1000)
        recording.keeper.step()
        assert not called and (wait_s == after_s or triggers == Triggers(files=0))
        clock.advance(1000)
        recording.keeper.step()
    assert bool(called) == (triggers != Triggers(files=0))
