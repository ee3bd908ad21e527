"""The readings that a hub stores, as a source: each a line `[sensor, ts, val, id]` and a frame, none lost, none twice.

It follows the journal's file, so the hub need not know of it, and may come and go. What cannot be recorded now stays in
the journal and waits there. Where the recording goes on after a crash: before a file is begun the catalogue notes after
which place of the journal that is; the last line that is durable says how far it has come since.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import threading

from bourn.hub.log import told
from bourn.hub.recorder.archive import ArchiveError, contents
from bourn.hub.recorder.catalogue import GONE, Catalogue, Row
from bourn.hub.recorder.form import LINES
from bourn.hub.recorder.recorder import Recorder
from bourn.hub.recorder.recording import Recording
from bourn.hub.recorder.source import SourceError
from bourn.hub.repositories.address import options_of
from bourn.spool.sqlite_file import JournalError
from bourn.spool.stored import PAGE, JournalReader, StoredReading

LOOK_S = 0.25  # how often it is looked whether there is something new: one word of SQLite's, no reading
WAIT_S = 1.0  # after the disk, the bound, the journal or the catalogue refused


class JournalSource:
    """`hub:JOURNAL`, `?from=oldest` for what is there already (else what comes from now on), `?sensor=` for one sensor.

    `bind` it to a recording before it runs. SourceError.
    """

    form = LINES

    def __init__(self, url: str) -> None:
        try:
            head, options = options_of(url, ("from", "sensor"))
        except ValueError as e:
            raise SourceError(f"--from {url}: {e}") from None
        self._path = head.partition(":")[2] or "bourn.db"
        self._begin = options.get("from", "now")
        if self._begin not in ("now", "oldest"):
            raise SourceError(f"--from {url}: from={self._begin} is neither now nor oldest")
        self._sensor = options.get("sensor")
        self._opened().close()  # says what is wrong with it before anything is recorded
        self._reader: JournalReader
        self._catalogue: Catalogue | None = None
        self._folder = self._name = self._epoch = ""
        self._after = 0  # the place in the journal up to which everything is recorded
        self.waits = 0  # times that something could not be recorded at once
        self.removed = 0  # readings that the journal had removed before they were recorded, at most

    def bind(self, recording: Recording, name: str) -> None:
        """The recording in whose catalogue it is noted where to go on."""
        self._catalogue, self._folder = recording.catalogue, recording.folder
        self._name, self._epoch = name, recording.epoch

    def run(self, recorder: Recorder, stop: threading.Event) -> None:
        """Record what the hub stores until `stop` is set. SourceError."""
        self._reader = self._opened()
        try:
            self._resume(recorder.next_frame)
            while not stop.is_set():
                try:
                    self._follow(recorder, stop)
                except (sqlite3.Error, JournalError) as e:  # the journal holds what there is
                    self._wait(recorder, stop, f"{type(e).__name__}: {e}")
        finally:
            self._reader.close()

    def _follow(self, recorder: Recorder, stop: threading.Event) -> None:
        """Record what there is, or wait for more. sqlite3.Error, JournalError."""
        version = self._reader.version()
        if self._after:
            self._skip_removed(recorder)
        rows, upto = self._reader.read(self._after)
        for row in rows:
            if not self._record(recorder, row, stop):
                return
            self._after = row.pos
        if upto > self._after or rows:
            self._after = upto
            return
        while not stop.is_set() and self._reader.version() == version:
            due_s = recorder.rest()
            stop.wait(LOOK_S if due_s is None else min(LOOK_S, due_s))
            if self._replaced():
                self._reader.close()
                self._reader = self._opened()
                self._resume(recorder.next_frame)
                return

    def _skip_removed(self, recorder: Recorder) -> None:
        """What was removed from the journal before it was recorded is a gap."""
        removed, self._after = self._reader.removed(self._after)
        if removed:
            self.removed += removed
            recorder.skip(removed, "trimmed")
            self._complain(f"up to {removed} readings were removed from the journal before they were recorded")

    def _record(self, recorder: Recorder, row: StoredReading, stop: threading.Event) -> bool:
        """One reading, however long it takes; False where it was told to stop before."""
        line = json.dumps([row.sensor, row.ts, row.val, row.id], ensure_ascii=False, separators=(",", ":"))
        data = line.encode() + b"\n"
        while not stop.is_set():
            if not recorder.writing_now:
                self._note(recorder.next_frame)
            if recorder.offer(data):
                return True
            self._wait(recorder, stop, recorder.last_error or "the disk's bound is reached")
        return False

    # -- where to go on

    def _note(self, first: int) -> None:
        """The file that begins with that frame holds what comes from here on. Durable."""
        assert self._catalogue is not None, "bind it first"
        self._catalogue.put_meta(self._key, {"first": first, "after": self._after})

    @property
    def _key(self) -> str:
        return f"journal {self._name} {self._reader.hub} {self._sensor or ''}"

    def _resume(self, next_frame: int) -> None:
        """Find the place after which to go on."""
        assert self._catalogue is not None, "bind it first"
        noted = self._catalogue.meta(self._key)
        if noted is None:
            before = self._catalogue.meta(f"journal {self._name}")
            # A journal that took the place of another one is followed from its beginning.
            anew = self._begin == "oldest" or before not in (None, self._reader.hub)
            self._after = 0 if anew else self._reader.newest()
            self._note(next_frame)
            self._catalogue.put_meta(f"journal {self._name}", self._reader.hub)
            return
        self._after = int(noted["after"])
        row = self._catalogue.by_key((self._epoch, int(noted["first"])))
        if row is not None and row.end is not None:
            self._after = self._behind(row.end - row.first, self._last_id(row))

    def _behind(self, count: int, last: str | None) -> int:
        """The place of the reading `last`, which is the last of the `count` behind the place that was noted."""
        place, left = self._after, count
        removed, _ = self._reader.removed(place)
        while left > 0:
            rows, upto = self._reader.read(place, min(left, PAGE))
            for row in rows:
                if row.id == last:
                    return row.pos
            left -= len(rows)
            if upto == place:
                break
            place = rows[-1].pos if rows else upto
        if removed or last is not None:  # it was removed from the journal, and had this place or a later one
            return self._after + count
        return place

    def _last_id(self, row: Row) -> str | None:
        """The last reading in a file that is here."""
        if row.state in (*GONE, "verified"):
            return None
        rest = b""
        try:
            for block in contents(f"{self._folder}/{row.here}", row.packed or ".plain"):
                rest = (rest + block)[-(1 << 21) :]
            return str(json.loads(rest.splitlines()[-1])[3])
        except (OSError, ArchiveError, ValueError, IndexError):
            return None

    # -- small parts

    def _opened(self) -> JournalReader:
        try:
            return JournalReader(self._path, self._sensor)
        except JournalError as e:
            raise SourceError(f"--from hub:{self._path}: {e}") from None

    def _replaced(self) -> bool:
        """Whether another journal has the name now."""
        with contextlib.suppress(OSError):
            there = os.stat(self._path)
            return self._reader.identity != (there.st_dev, there.st_ino)
        return False

    def _wait(self, recorder: Recorder, stop: threading.Event, why: str) -> None:
        self.waits += 1
        self._complain(f"nothing is recorded for now, the journal holds it: {why}")
        recorder.rest()
        stop.wait(WAIT_S)

    def _complain(self, text: str) -> None:
        told(logging.WARNING, "journal source", text)
