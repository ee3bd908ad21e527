"""`bourn record --from hub:`: every reading that a hub stores is in a file, once, whatever is killed or full."""

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from processes import BOURN, Program, hub, query, sensors, until, url_of
from recordings import frames_in
from s3_stub import S3Stub
from test_recorder_kill import ENV

from bourn.hub.recorder.archive import contents
from bourn.hub.recorder.form import LINES
from bourn.hub.recorder.journal_source import JournalSource
from bourn.hub.recorder.keeper import Limits
from bourn.hub.recorder.names import understood
from bourn.hub.recorder.recording import Recording, Settings
from bourn.hub.recorder.source import SourceError
from bourn.hub.recorder.uploader import Rules
from bourn.spool.sqlite import SqliteSpool

EPOCH = "00000000000000aa"


class Journal(SqliteSpool):
    """A journal with a source that counts."""

    seq = 0

    def fill(self, count, sensor="s"):
        for _ in range(count):
            self.seq += 1
            self.append(("src", EPOCH, self.seq, sensor, 1000 + self.seq, self.seq))
        self.sync()


@pytest.fixture
def journal(tmp_path):
    with contextlib.closing(Journal(str(tmp_path / "j.db"))) as made:
        yield made


def recorded(folder):
    """Every line in the folder, in order; the files follow each other."""
    found = []
    for name in os.listdir(folder):
        file = understood(name)
        if file:
            data = b"".join(contents(f"{folder}/{name}", file.packed or ".plain"))
            found.append((file.first, file.end, data))
    found.sort()
    return [json.loads(line) for *_, data in found for line in data.splitlines()]


class Life:
    """One life of a recorder that follows the journal, until `end` (orderly) or `crash`."""

    def __init__(self, tmp_path, query="?from=oldest", frames=10, store=None, **settings):
        self.recording = Recording(str(tmp_path / "rec"), Settings("n", LINES, frames, **settings), store)
        self.source = JournalSource(f"hub:{tmp_path}/j.db{query}")
        self.source.bind(self.recording, "n")
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.source.run, args=(self.recording.recorder, self.stop), daemon=True)
        self.thread.start()

    def upto(self, count):
        until(lambda: self.recording.recorder.recorded >= count, f"{count} lines")
        return self

    def _stop(self):
        self.stop.set()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def end(self):
        self._stop()
        self.recording.close()

    def crash(self, forget=0):
        """As a kill leaves it: the file is not sealed; with `forget` its last bytes are not there either."""
        self._stop()
        if self.recording.recorder._file is not None:
            self.recording.recorder._file.close()
        self.recording.catalogue.close()
        self.recording._lock.close()
        for name in os.listdir(self.recording.folder):
            if forget and name.endswith(".part"):
                path = f"{self.recording.folder}/{name}"
                os.truncate(path, max(0, os.path.getsize(path) - forget))


def ids(lines):
    return [int(line[3].rsplit(":", 1)[1]) for line in lines]


def test_from_now_on_or_from_the_oldest_and_one_sensor_alone(tmp_path, journal):
    journal.fill(25)
    life = Life(tmp_path, "")
    until(lambda: life.recording.catalogue.meta("journal n"), "it has looked")
    journal.fill(5)
    journal.fill(2, "other")
    life.upto(7).end()
    assert recorded(tmp_path / "rec") == [[s, 1000 + n, n, f"src:{EPOCH}:{n}"] for n, s in
                                          zip(range(26, 33), ["s"] * 5 + ["other"] * 2, strict=True)]  # fmt: skip
    shutil.rmtree(tmp_path / "rec")
    Life(tmp_path).upto(32).end()
    assert ids(recorded(tmp_path / "rec")) == list(range(1, 33))
    shutil.rmtree(tmp_path / "rec")
    Life(tmp_path, "?from=oldest&sensor=other").upto(2).end()
    assert ids(recorded(tmp_path / "rec")) == [31, 32]


def test_crashes_lose_nothing_and_repeat_nothing(tmp_path, journal, seed):
    rng = random.Random(seed)
    for _ in range(12):
        journal.fill(rng.randint(1, 25))
        life = Life(tmp_path, frames=rng.choice((1, 7, 40)))
        until(lambda: rng.random() < 0.2, "any moment")
        if rng.random() < 0.2:
            life.end()
        else:
            life.crash(forget=rng.choice((0, 3, 60, 500)))
    last = Life(tmp_path)
    until(lambda: last.source._after == journal.last_pos(), "all of it")
    last.end()
    assert ids(recorded(tmp_path / "rec")) == list(range(1, journal.seq + 1))


def test_files_that_are_away_are_not_recorded_again(tmp_path, journal):
    class Store:
        def upload(self, *_):
            return None

    store = Store()
    journal.fill(30)
    rules = Rules(".plain")
    life = Life(tmp_path, store=store, rules=rules)
    life.recording.start()
    life.upto(30)
    until(lambda: life.recording.catalogue.counts().get("deleted", (0, 0))[0] == 3, "away")
    life.recording.uploader.stop(5)
    life.crash()
    # The note of the file that is complete, as if the kill had come before anything else was noted.
    assert not [name for name in os.listdir(tmp_path / "rec") if understood(name)]
    journal.fill(5)
    Life(tmp_path).upto(5).end()
    assert ids(recorded(tmp_path / "rec")) == list(range(31, 36))


def test_a_full_disk_makes_it_wait_and_nothing_is_lost(tmp_path, journal):
    journal.fill(4000)
    life = Life(tmp_path, frames=100, max_bytes=600_000, limits=Limits("stop_recording"))
    life.recording.space.limit = life.recording.space.reserve + 30_000
    until(lambda: life.source.waits, "it waits")
    recorder = life.recording.recorder
    assert recorder.lost == 0 and recorder.losing is None and recorder.recorded < 1000
    life.recording.space.limit = 1 << 30
    life.upto(4000).end()
    assert ids(recorded(tmp_path / "rec")) == list(range(1, 4001)) and recorder.lost == 0


def test_what_the_journal_has_removed_is_a_gap(tmp_path):
    with contextlib.closing(Journal(str(tmp_path / "j.db"), retain_rows=10)) as journal:
        journal.fill(20)
        Life(tmp_path).upto(20).end()
        journal.fill(50)
        journal.ack(journal.last_pos(), "somebody")
        while journal.trim():
            pass
        life = Life(tmp_path)
        until(lambda: life.source._after == journal.last_pos(), "all of it")
        life.end()
        lines = ids(recorded(tmp_path / "rec"))
        assert lines == [*range(1, 21), *range(61, 71)]
        assert life.source.removed == 40 and life.recording.recorder.lost == 40


def test_another_journal_in_its_place_is_followed_from_its_beginning(tmp_path):
    with contextlib.closing(Journal(str(tmp_path / "j.db"))) as journal:
        journal.fill(3)
        life = Life(tmp_path).upto(3)
    for name in os.listdir(tmp_path):
        if name.startswith("j.db"):
            os.unlink(tmp_path / name)
    with contextlib.closing(Journal(str(tmp_path / "j.db"))) as journal:
        journal.fill(4)
        life.upto(7).end()
    assert ids(recorded(tmp_path / "rec")) == [1, 2, 3, 1, 2, 3, 4]


def test_what_cannot_be_followed_is_said(tmp_path):
    for url, said in (("hub:none.db", "no journal"), ("hub:j.db?from=then", "neither now nor oldest"),
                      ("hub:j.db?since=1", "no option")):  # fmt: skip
        with pytest.raises(SourceError, match=said):
            JournalSource(url)


def test_a_running_hub_is_recorded_while_recorder_and_hub_are_killed(tmp_path, seed):
    """The whole way: sensors, hub, recorder, object store; every reading is in one object, once."""
    rng = random.Random(seed)

    def plan(method, name):
        return rng.choice(["500", "reset"]) if rng.random() < 0.2 else None

    with S3Stub(plan) as stub:
        command = [sys.executable, "-m", "bourn.cli", "record", "--from", "hub:j.db?from=oldest", "--file", "50",
                   "--sync", "50ms", "--to", f"s3://bucket/p?endpoint={stub.address}", "--quiet"]  # fmt: skip

        def start():
            return subprocess.Popen(command, cwd=tmp_path, env=ENV, stderr=subprocess.DEVNULL)

        with hub(tmp_path, "--no-web") as running:
            url = url_of(running)
            until((tmp_path / "j.db").exists, "a journal")
            with sensors(tmp_path, url, "--num-sensors", "2", "--every", "0.005", "--micropython", "none") as two:
                for kills in range(2):
                    recorder = start()
                    time.sleep(rng.uniform(0.5, 1.5))
                    recorder.send_signal(signal.SIGKILL)
                    recorder.wait(10)
                    if kills == 1:
                        running.process.send_signal(signal.SIGKILL)
                        running.ended()
                        running = Program(*BOURN, "hub", "--listen", url, "--journal", "j.db", "--no-web", cwd=tmp_path)
                        running.__enter__()
                        url_of(running)
                until(lambda: query(tmp_path, "SELECT count(*) > 300 FROM reading") == [(1,)], "readings")
                two.interrupt()
                assert two.ended() == 0
            running.interrupt()
            running.ended()
        wanted = query(tmp_path, "SELECT id, sensor, val FROM readings ORDER BY pos")
        recorder = start()
        wanted_count = len(wanted)

        def stored():
            return sum(frames_in(name, found.data)[2] - frames_in(name, found.data)[1]
                       for name, found in list(stub.objects.items()))  # fmt: skip

        until(lambda: stored() >= wanted_count - 50, "all but the last file")
        recorder.send_signal(signal.SIGINT)
        assert recorder.wait(30) == 0
        found = sorted(frames_in(name, one.data)[1:] for name, one in stub.objects.items())
        assert found[0][0] == 0 and all(a[1] == b[0] for a, b in itertools.pairwise(found))
        lines = [json.loads(line) for *_, data in found for line in data.splitlines()]
        assert [(line[3], line[0], line[2]) for line in lines] == wanted
