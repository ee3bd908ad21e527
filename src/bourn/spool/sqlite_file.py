"""The file of a journal: who may open it, which version it is of, and how an older one becomes today's (CPython).

`STEPS[n]` takes a journal from version n to n + 1 in one transaction; a new file goes through all of them, so that a
file that was made today and one that was brought here step by step are the same.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

# Of version 1; never to be changed, for journals of it are out there.
_STEP_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE stream (id INTEGER PRIMARY KEY, source TEXT NOT NULL, epoch TEXT NOT NULL, last INTEGER NOT NULL,
  UNIQUE (source, epoch));
CREATE TABLE reading (pos INTEGER PRIMARY KEY, stream INTEGER NOT NULL, seq INTEGER NOT NULL, sensor TEXT NOT NULL,
  ts INTEGER NOT NULL, val);
CREATE TABLE gap (pos INTEGER PRIMARY KEY, stream INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  reason TEXT NOT NULL);
CREATE TABLE quarantine (pos INTEGER PRIMARY KEY, stream INTEGER NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL,
  raw TEXT NOT NULL);
CREATE TABLE cursor (name TEXT PRIMARY KEY, pos INTEGER NOT NULL, mark TEXT) WITHOUT ROWID;
CREATE VIEW readings AS SELECT pos, source || ':' || epoch || ':' || seq AS id,
  strftime('%Y-%m-%dT%H:%M:%f', ts / 1000.0, 'unixepoch') || 'Z' AS time, sensor, val
  FROM reading JOIN stream ON stream.id = reading.stream;
"""
# Retention: what is removed up to where, when a stream was last heard of, and when places were taken. What is older
# than this step counts as taken now: nothing is removed too early.
_STEP_2 = """
ALTER TABLE stream ADD COLUMN trimmed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN newest INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE quarantine ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
CREATE TABLE arrival (pos INTEGER PRIMARY KEY, at INTEGER NOT NULL);
UPDATE stream SET newest = (SELECT value FROM meta WHERE key = 'pos'), seen = {now};
INSERT INTO arrival SELECT value, {now} FROM meta WHERE key = 'pos' AND value > 0;
INSERT INTO meta VALUES ('rows', {rows});
"""
STEPS = (_STEP_1, _STEP_2)
VERSION = len(STEPS)  # PRAGMA user_version of a journal
TABLES = {"meta", "stream", "reading", "gap", "quarantine", "cursor"}  # those of every version
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
LAST_BYTES = 65_536  # free; where SQLite fails to write with less than that, it is for want of room
COUNTED_PLACES = 200_000  # looked at by one query of a migration, between two words of progress

Say = Callable[..., Any]  # (a line), or (what is being done, how much of it is done, of how much: 0 if nobody knows)


class JournalError(Exception):
    """The journal cannot be used; the text says why and what to do."""


class JournalNoRoom(JournalError):
    """The disk is too full even to open it; what is in it is as it was."""


class JournalInUse(JournalError):
    """A hub is writing it."""


def lock_journal(path: str) -> Any:
    """A file that is held open while the journal is: a second hub gets JournalError."""
    try:
        file = open(os.path.realpath(path) + ".lock", "w")
    except OSError as e:
        if is_no_room(e, path):
            raise no_room(path, e) from e
        raise JournalError(f"the journal {path} cannot be written ({e.strerror}); choose another with --journal") from e
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        file.close()
        raise JournalInUse(f"another hub is writing {path}; stop it, or choose another file with --journal") from e
    return file


def is_no_room(e: BaseException, path: str) -> bool:
    """True if it failed because the disk of that file is full, or a quota used up."""
    if isinstance(e, OSError):
        return e.errno in NO_ROOM
    code = getattr(e, "sqlite_errorcode", None)
    if code is None:
        return False
    if code & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):  # what it says where it cannot make a file
        with contextlib.suppress(OSError):
            return free_bytes(path) < LAST_BYTES
    return bool(code & 0xFF == sqlite3.SQLITE_FULL)


def no_room(path: str, e: Exception) -> JournalNoRoom:
    """That the disk is full, as an error."""
    return JournalNoRoom(f"there is no room on its disk to open the journal {path} ({e})")


def free_bytes(path: str) -> int:
    """What may still be written to the disk of that file. OSError, also where it is none, as /proc is."""
    found = os.statvfs(os.path.dirname(os.path.realpath(path)))
    if not found.f_blocks:
        raise OSError(errno.ENOTSUP, "not a disk")
    return found.f_bavail * found.f_frsize


def open_journal(path: str, say: Say | None = None) -> sqlite3.Connection:
    """A connection that may write, to a journal of today's version: made, or migrated where it is older.

    JournalError when it is something else, damaged, or of a newer version. `say` hears of long work, and may raise to
    have it ended: then the journal is what it was.
    """
    db = None
    try:
        # The real path: SQLite takes `:memory:` and `file:...` for something else.
        db = sqlite3.connect(
            os.path.realpath(path), isolation_level=None, check_same_thread=False, cached_statements=256
        )
        version = check_version(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        if version < VERSION:
            _migrate(db, path, version, say or (lambda *told: None))
    except BaseException as e:
        if db is not None:
            db.close()
        if not isinstance(e, sqlite3.Error):
            raise
        if is_no_room(e, path):
            raise no_room(path, e) from e
        raise JournalError(f"the journal {path} cannot be opened ({e}); choose another with --journal") from e
    return db


def check_version(db: sqlite3.Connection, path: str) -> int:
    """The version of what is in the file, 0 for nothing yet. JournalError when it is no journal, or a newer one."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version > VERSION:
        raise JournalError(
            f"{path} was written by a newer Bourn (format {version}, this one knows {VERSION}); update Bourn"
        )
    if tables if version == 0 else not tables >= TABLES:
        raise JournalError(f"{path} is a database of something else; choose another file with --journal")
    return version


def read_only(path: str) -> sqlite3.Connection:
    """A connection that cannot write, also while a hub does."""
    return sqlite3.connect("file://" + quote(os.path.realpath(path)) + "?mode=ro", uri=True)


def to_read(path: str) -> sqlite3.Connection:
    """A connection that changes nothing, for another program than the hub; it leaves no file behind.

    Not `read_only`: a connection that may not write makes the two files of the WAL, and may not remove them again.
    """
    db = sqlite3.connect("file://" + quote(os.path.realpath(path)) + "?mode=rw", uri=True)
    db.execute("PRAGMA query_only = ON")
    return db


def _migrate(db: sqlite3.Connection, path: str, version: int, say: Say) -> None:
    """Whole or not at all: a crash in the middle leaves the version that it was."""
    rows = 0
    if version:
        say(f"{path}: from format {version} to {VERSION} ...")
        rows = _count(db, path, say)
    db.execute("BEGIN IMMEDIATE")
    for step in STEPS[version:]:
        for statement in step.format(now=int(time.time() * 1000), rows=rows).split(";"):
            db.execute(statement)
        if step is _STEP_1:
            db.execute("INSERT INTO meta VALUES ('hub', ?), ('pos', 0)", (secrets.token_hex(8),))
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")
    if version:
        say(f"{path}: format {VERSION} now, {rows:,} readings")


def _count(db: sqlite3.Connection, path: str, say: Say) -> int:
    """How many readings there are; told as it goes, in places of the journal."""
    first, last = db.execute("SELECT (SELECT min(pos) FROM reading), (SELECT max(pos) FROM reading)").fetchone()
    rows, at = 0, first
    while at is not None and at <= last:
        upto = at + COUNTED_PLACES
        rows += db.execute("SELECT count(*) FROM reading WHERE pos >= ? AND pos < ?", (at, upto)).fetchone()[0]
        at = upto
        say(f"{path}: counting its readings", min(at, last + 1) - first, last + 1 - first)
    return rows
