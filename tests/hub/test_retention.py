"""What a journal keeps: never less than was asked for, never more than it may, and what is gone leaves a word."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bourn.spool import Gap, recent, retention
from bourn.spool.sqlite import JournalError, JournalFull, Limits, SqliteSpool, read_journal
from bourn.testing import ManualClock

DAY = 86_400.0
MB = 1 << 20


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory, where there is such a folder: this is not about what a disk does, and its syncs take time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        yield Path(folder)


class Home:
    """A journal with a clock that is moved by hand."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.path = str(folder / "j.db")
        self.limits = Limits(**limits)
        self.clock = ManualClock()
        self.said: list[str] = []
        self.far: list[tuple[str, int, int]] = []  # (what is being done, how much of it is done, of how much)
        self.open()

    def open(self) -> SqliteSpool:
        self.spool = SqliteSpool(self.path, limits=self.limits, clock=self.clock, say=self.hear)
        return self.spool

    def hear(self, what: str, done: int | None = None, total: int = 0) -> None:
        if done is None:
            self.said.append(what)
        else:
            self.far.append((what.partition(": ")[2], done, total))

    def restart(self, **limits: Any) -> SqliteSpool:
        self.spool.close()
        self.limits = Limits(**limits) if limits else self.limits
        return self.open()

    def fill(self, n: int, source: str = "s", epoch: str = "e", size: int = 8, commit: bool = True) -> None:
        stream = self.spool.stream(source, epoch)
        first = stream.last + 1
        self.spool.take(stream, [(seq, "x", 0, f"{seq:0{size}}") for seq in range(first, first + n)], n * size)
        if commit:
            self.spool.sync()

    def days(self, n: float) -> None:
        """They pass, with a hub that has nothing to do but to tidy up."""
        for _ in range(max(1, round(n * 50))):
            self.clock.advance(int(n * DAY * 1000 / max(1, round(n * 50))))
            self.spool.sync()

    def kept(self, source: str = "s") -> list[int]:
        return [int(r.val) for r in read_journal(self.path) if r.id.startswith(source + ":")]

    def sql(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            return db.execute(query).fetchall()

    def size(self) -> int:
        return sum(os.path.getsize(self.path + end) for end in ("", "-wal") if os.path.exists(self.path + end))

    def covered(self) -> None:
        """Every stream is whole: what was removed, then readings, gaps and the quarantine, none of them twice."""
        for id, last, trimmed in self.sql("SELECT id, last, trimmed FROM stream"):
            parts = self.sql(
                f"SELECT seq, seq FROM reading WHERE stream = {id} "
                f"UNION SELECT first, last FROM gap WHERE stream = {id} "
                f"UNION SELECT seq, seq FROM quarantine WHERE stream = {id} ORDER BY 1"
            )
            at = trimmed
            for first, upto in parts:
                if upto <= trimmed:
                    continue  # a gap that some repository has still to read
                assert first <= at + 1, f"{id}: a hole before {first}, after {at}"
                at = upto
            assert at == last
        assert self.sql("SELECT value FROM meta WHERE key = 'rows'") == self.sql("SELECT count(*) FROM reading")


# -- by age


def test_what_is_older_than_asked_for_goes_when_every_repository_has_it(tmp_path: Path) -> None:
    home = Home(tmp_path, keep_s=DAY, hold_s=7 * DAY)
    home.fill(10)
    home.days(0.5)
    home.fill(10)
    home.days(0.4)
    assert home.kept() == list(range(1, 21)), "not a day old"
    home.spool.ack(15, "csv")
    home.days(0.2)
    assert home.kept() == list(range(11, 21)), "the first ten are, and csv has them"
    home.days(0.5)
    assert home.kept() == list(range(16, 21)), "all are, and csv lacks five"
    home.spool.ack(20, "csv")
    home.days(0.1)
    assert home.kept() == []
    assert home.spool.counters["trimmed"] == 20 and home.spool.counters["dropped"] == 0
    home.covered()
    home.fill(1)
    assert home.kept() == [21], "numbers and places go on"
    home.spool.close()


def test_an_idle_hub_writes_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path, keep_s=DAY)
    home.fill(10)
    home.clock.advance(3_600_000)
    home.spool.sync()
    written = home.spool._db.total_changes
    for _ in range(500):
        home.clock.advance(1000)
        assert not home.spool.insert()
    assert home.spool._db.total_changes == written
    home.spool.close()


def test_without_repositories_the_age_alone_counts(tmp_path: Path) -> None:
    home = Home(tmp_path, keep_s=60)
    home.fill(5000)
    home.clock.advance(61_000)
    home.spool.sync()  # all of it, in steps
    assert home.kept() == [] and home.spool.rows == 0
    home.spool.close()


def test_a_dead_repository_cannot_hold_it_for_ever_and_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path, keep_s=DAY, hold_s=2 * DAY)
    home.fill(10, "a")
    home.fill(5, "b")
    home.spool.ack(4, "dead")
    home.spool.ack(15, "well")
    home.days(2.9)
    assert len(home.kept("a")) + len(home.kept("b")) == 11, "what the dead one lacks waits for it"
    home.days(0.2)
    assert home.kept("a") == home.kept("b") == []
    assert home.spool.counters["dropped"] == 11
    assert home.spool.dropped_for == {"dead": 11}
    gaps = [(entry[1].source, entry[2]) for entry in home.spool.read(4, 100)]
    assert gaps == [("a", Gap(5, 10, "trimmed")), ("b", Gap(1, 5, "trimmed"))]
    assert home.spool.read(15, 100) == [], "the other is not told of what it has"
    home.fill(3, "a")
    home.restart()
    entries = home.spool.read(4, 100)
    assert [entry[2] for entry in entries] == [Gap(5, 10, "trimmed"), Gap(1, 5, "trimmed"), 11, 12, 13]
    home.spool.ack(entries[-1][0], "dead")
    home.spool.ack(entries[-1][0], "well")
    home.days(4)
    assert home.sql("SELECT count(*) FROM gap") == [(0,)], "a gap goes as a reading does"
    home.covered()
    home.spool.close()


def test_gaps_for_a_dead_repository_are_as_many_as_streams(tmp_path: Path) -> None:
    home = Home(tmp_path, keep_s=1, hold_s=0)
    home.fill(1, "a")
    home.spool.ack(0, "dead")
    for _ in range(20):
        home.fill(100, "a")
        home.fill(100, "b")
        for _ in range(3):
            home.clock.advance(1000)
            home.spool.sync()
    assert home.kept("a") == home.kept("b") == []
    assert home.sql("SELECT first, last, reason FROM gap ORDER BY pos") == [(1, 2001, "trimmed"), (1, 2000, "trimmed")]
    assert home.spool.dropped_for == {"dead": 4001}
    home.spool.close()


@pytest.mark.parametrize("jump_s", [-3600, DAY])
def test_a_jump_of_the_wall_clock_removes_nothing_and_keeps_nothing_longer(tmp_path: Path, jump_s: float) -> None:
    home = Home(tmp_path, keep_s=3600)
    home.fill(10)
    home.clock.advance(1_800_000)
    home.clock.step_wall(int(jump_s * 1000))
    home.fill(10)
    home.clock.advance(1_000_000)
    home.spool.sync()
    assert len(home.kept()) == 20
    home.clock.advance(900_000)
    home.spool.sync()
    assert home.kept() == list(range(11, 21)), "an hour later, by a clock that nobody sets"
    home.restart()  # the wall clock was set back: the ages still do not go back
    home.clock.advance(1_900_000 if jump_s > 0 else 1_900_000 + 3_600_000)
    home.spool.sync()
    assert home.kept() == []
    home.spool.close()


# -- by bytes


def test_a_full_journal_blocks_and_heals_when_it_may_hold_more(tmp_path: Path) -> None:
    home = Home(tmp_path, bytes=2 * MB)
    taken = 0
    with pytest.raises(JournalFull, match="full"):
        while True:
            home.fill(100, size=100, commit=False)
            taken += 100
            home.spool.sync()
            assert home.size() <= 3 * MB
    for _ in range(3):
        home.spool.rollback()
        with pytest.raises(JournalFull):
            home.spool.sync()
    assert home.spool.space()["full"] and home.spool.counters["full"] == 4
    stored = home.spool.stream("s", "e").committed
    assert home.kept() == list(range(1, stored + 1)) and stored == taken - 100
    with pytest.raises(JournalFull):
        home.spool.close()
    home.limits = Limits(bytes=4 * MB)
    home.open()
    home.fill(100, size=100)
    assert home.kept() == list(range(1, taken + 1))
    home.covered()
    home.spool.close()


def test_a_full_journal_with_room_to_be_made_makes_it(tmp_path: Path) -> None:
    """Blocked, until what is old enough has been taken by its repository."""
    home = Home(tmp_path, bytes=2 * MB, keep_s=60)
    home.spool.ack(0, "slow")
    with pytest.raises(JournalFull):
        while True:
            home.fill(100, size=100)
    for _ in range(2):
        home.clock.advance(62_000)
        with pytest.raises(JournalFull):
            home.spool.sync()
    home.spool.ack(home.spool.last_pos(), "slow")
    home.clock.advance(2000)
    for _ in range(10):
        with contextlib.suppress(JournalFull):
            home.spool.sync()
            break
    assert not home.spool.space()["full"]
    assert len(home.kept()) == 100 and home.spool.counters["dropped"] == 0
    home.spool.close()


@pytest.mark.parametrize("limit_mb", [2, 4])
def test_dropping_the_oldest_keeps_the_file_within_its_limit(tmp_path: Path, limit_mb: int, seed: int) -> None:
    chance = random.Random(seed)
    home = Home(tmp_path, bytes=limit_mb * MB, when_full="drop_oldest")
    home.spool.ack(0, "dead")
    at, seen = 0, 0
    written = peak = 0
    while written < 3 * limit_mb * MB:
        size = chance.choice((10, 10, 300, 3000))
        n = chance.randint(1, home.spool.limits.batch_bytes // (size + 40))
        home.fill(n, chance.choice("ab"), size=size)
        written += n * (size + 20)
        peak = max(peak, home.size())
        if chance.random() < 0.5:  # a reader that keeps up sees everything
            while entries := home.spool.read(at, 1000):
                seen += sum(1 if len(entry) == 6 else 0 for entry in entries)
                at = entries[-1][0]
            home.spool.ack(at, "well")
    print(f"{written:,} bytes written, at most {peak:,} on disk, {home.spool.counters}")
    assert peak <= limit_mb * MB
    kept = home.spool.rows
    assert kept + home.spool.counters["dropped"] == home.spool.counters["appended"]
    assert home.spool.dropped_for["dead"] == home.spool.counters["dropped"]
    assert kept * 20 > 0.3 * limit_mb * MB / 200, "it keeps what it can"
    for source in "ab":
        values = home.kept(source)
        assert values == list(range(values[0], values[-1] + 1)), "the newest, without holes"
    first = [entry for entry in home.spool.read(0, 10_000) if len(entry) == 3]
    assert {entry[1].source for entry in first} == {"a", "b"}, "the dead repository is told"
    home.covered()
    home.spool.close()


def test_a_lower_limit_makes_the_file_smaller_at_the_next_start(tmp_path: Path) -> None:
    home = Home(tmp_path, bytes=100 * MB)
    for _ in range(40):
        home.fill(1000, size=100)
    assert home.size() > 4 * MB
    home.restart(bytes=3 * MB, when_full="drop_oldest")
    assert home.size() <= 3 * MB
    values = home.kept()
    assert values == list(range(values[0], 40_001)) and len(values) > 5000
    assert [what for what, _, _ in home.far][:1] == ["removing what is beyond 3,145,728 bytes"], home.far
    assert all(0 <= done <= total for _, done, total in home.far)
    home.covered()
    home.restart(bytes=2 * MB)  # and with the policy that removes nothing, nothing is removed
    assert home.kept() == values
    with pytest.raises(JournalFull):
        home.fill(1)
    with pytest.raises(JournalFull):
        home.spool.close()


def test_a_wal_that_a_reader_holds_does_not_grow_for_ever(tmp_path: Path) -> None:
    home = Home(tmp_path, bytes=8 * MB)
    home.fill(1)
    with contextlib.closing(sqlite3.connect(home.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM reading").fetchone()
        with pytest.raises(JournalFull, match="held by a program"):
            for _ in range(1000):
                home.fill(100, size=100)
        assert home.size() < 3 * MB
        reader.execute("COMMIT")
    home.spool.sync()
    assert not home.spool.space()["full"]
    home.spool.close()


@pytest.mark.parametrize("wrong", [{"bytes": 1000}, {"when_full": "forget"}, {"keep_s": 0}, {"hold_s": -1}])
def test_limits_that_make_no_sense_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        SqliteSpool(str(tmp_path / "j.db"), limits=Limits(**wrong))
    assert list(tmp_path.iterdir()) == []


# -- streams


def epoch(i: int) -> str:
    return f"{i:016x}"


def test_epochs_are_forgotten_only_when_they_cannot_come_back(tmp_path: Path) -> None:
    home = Home(tmp_path, keep_s=DAY)
    for i in range(30):
        home.fill(2, epoch=epoch(i))
    home.fill(2, "other", epoch(0))
    home.spool.take_poison(home.spool.stream("s", epoch(3)), 3, "bad", "raw")
    linked = home.spool.stream("s", epoch(2))  # a link is open
    home.days(2)
    home.days(2)
    assert home.kept() == [] and home.sql("SELECT count(*) FROM stream") == [(31,)], "not old enough"
    home.days(5)
    assert home.sql("SELECT count(*) FROM stream") == [(1 + retention.EPOCHS_KEPT + 2,)]
    left = {e for (e,) in home.sql("SELECT epoch FROM stream WHERE source = 's'")}
    assert left == {epoch(2), epoch(3), *map(epoch, range(30 - retention.EPOCHS_KEPT, 30))}, (
        "the newest, the quarantined, the one in use"
    )
    assert home.spool.counters["epochs_forgotten"] == 20
    home.fill(1, epoch=epoch(2))
    assert linked.last == 3, "one in use goes on where it was"
    home.restart()
    assert home.spool.append(("s", epoch(29), 2, "x", 1, 1)) is None, "a duplicate is still one"
    home.fill(1, "new", epoch(1))
    assert home.kept("new") == [1], "no id is used twice at once"
    home.covered()
    home.spool.close()


def test_streams_cost_memory_only_while_they_are_used(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for i in range(500):
        home.fill(1, epoch=epoch(i))
    for _ in range(40):
        home.fill(1000, epoch=epoch(500))
    assert len(home.spool._streams) < 50
    home.restart()
    assert len(home.spool._streams) == 0
    assert home.spool.stream("s", epoch(77)).committed == 1
    assert len([1 for entry in home.spool.read(0, 600) if entry[2] == 1]) == 501
    assert len(home.spool._streams) == 0
    home.spool.close()


# -- versions

VERSION_1 = Path(__file__).parent / "journal_v1.sql"


def old_journal(path: str, rows: int) -> None:
    """As the first format had it, written with its own statements."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(VERSION_1.read_text())
        db.execute("INSERT INTO meta VALUES ('hub', 'cafe'), ('pos', ?)", (rows + 2,))
        db.execute("INSERT INTO stream VALUES (1, 's', 'e', ?)", (rows + 1,))
        db.executemany(
            "INSERT INTO reading VALUES (?, 1, ?, 'x', 5, ?)", [(i, i, f'"{i}"') for i in range(1, rows + 1)]
        )
        db.execute("INSERT INTO quarantine VALUES (?, 1, ?, 'bad', 'raw')", (rows + 1, rows + 1))
        db.execute("INSERT INTO stream VALUES (2, 't', 'e', 9)")
        db.execute("INSERT INTO gap VALUES (?, 2, 1, 9, 'full')", (rows + 2,))
        db.execute("INSERT INTO cursor VALUES ('csv:x', 3, 'mark')")
        db.commit()


def test_a_journal_of_version_1_opens_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bourn.spool import sqlite_file

    monkeypatch.setattr(sqlite_file, "COUNTED_PLACES", 400)
    path = str(tmp_path / "j.db")
    old_journal(path, 1000)
    assert len(list(read_journal(path))) == 1000, "it can be read as it is"
    home = Home(tmp_path, keep_s=DAY)
    assert "from format 1 to 2" in home.said[0] and "1,000 readings" in home.said[-1]
    assert home.far == [("counting its readings", n, 1000) for n in (400, 800, 1000)]
    assert (home.spool.hub, home.spool.rows, home.spool.acked("csv:x"), home.spool.mark("csv:x")) == (
        "cafe",
        1000,
        3,
        "mark",
    )
    assert home.spool.stream("s", "e").committed == 1001
    entries = [entry for at in (0, 600) for entry in home.spool.read(at, 600)]
    assert [entry[2] for entry in entries] == [*range(1, 1001), Gap(1, 9, "full")]
    home.fill(1)
    home.days(0.9)
    assert len(home.kept()) == 1001, "all of it counts as taken at the migration"
    home.covered()
    home.spool.ack(home.spool.last_pos(), "csv:x")
    home.days(0.2)
    assert home.kept() == []
    home.restart()
    assert [text for text in home.said if "format" in text] == home.said[:1] + home.said[-1:] or len(home.said) < 6
    home.spool.close()


def schema(path: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master ORDER BY name")]
        return [db.execute(f"PRAGMA table_info({name})").fetchall() for name in tables] + db.execute(
            "PRAGMA user_version"
        ).fetchall()


def test_a_migrated_journal_is_as_a_new_one(tmp_path: Path) -> None:
    old_journal(str(tmp_path / "old.db"), 3)
    for name in ("old", "new"):
        SqliteSpool(str(tmp_path / f"{name}.db")).close()
    assert schema(str(tmp_path / "old.db")) == schema(str(tmp_path / "new.db"))


def test_a_migration_that_is_cut_off_leaves_the_old_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bourn.spool import sqlite_file

    path = str(tmp_path / "j.db")
    old_journal(path, 10)
    whole = sqlite_file.STEPS
    monkeypatch.setattr(sqlite_file, "STEPS", (whole[0], whole[1] + "SELECT broken FROM nowhere"))
    with pytest.raises(JournalError, match="cannot be opened"):
        SqliteSpool(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    monkeypatch.setattr(sqlite_file, "STEPS", whole)
    spool = SqliteSpool(path)
    assert spool.rows == 10
    spool.close()


def test_a_transaction_that_failed_makes_nothing_younger(tmp_path: Path) -> None:
    """When readings came is noted now and then; a note that was rolled back is made again, also where no more come."""
    home = Home(tmp_path, keep_s=10 * DAY)
    home.fill(5, commit=False)
    assert home.spool.insert()
    home.spool.commit()
    home.spool.committed()
    assert home.spool.insert(), "there is something to note"
    home.spool.rollback()
    home.days(12)
    assert home.kept() == []
    home.spool.close()


KILLED = """
import os, signal, sqlite3, sys
from bourn.spool import sqlite_file
after = int(sys.argv[1])
class Connection(sqlite3.Connection):
    def execute(self, *args):
        global after
        after -= 1
        if after < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*args)
real = sqlite3.connect
sqlite_file.sqlite3.connect = lambda *args, **options: real(*args, **options, factory=Connection)
sqlite_file.COUNTED_PLACES = 300
from bourn.spool.sqlite import SqliteSpool
SqliteSpool(sys.argv[2], say=lambda *told: None).close()
print(after)
"""


def test_a_migration_that_is_killed_begins_again_and_loses_nothing(tmp_path: Path) -> None:
    """kill -9 before any of its statements: the file is of the old version, or of the new one and whole."""
    path = str(tmp_path / "j.db")

    def run(after: int) -> subprocess.CompletedProcess[str]:
        old_journal(path, 1000)
        return subprocess.run(
            [sys.executable, "-c", KILLED, str(after), path], capture_output=True, text=True, check=False
        )

    whole = run(1_000_000)
    statements = 1_000_000 - int(whole.stdout)
    assert statements > 20, whole.stderr
    versions = []
    for after in range(3, statements, 3):
        for name in os.listdir(tmp_path):
            os.unlink(tmp_path / name)
        assert run(after).returncode == -signal.SIGKILL
        with contextlib.closing(sqlite3.connect(path)) as db:
            versions.append(db.execute("PRAGMA user_version").fetchone()[0])
        spool = SqliteSpool(path)  # it begins anew, if it has to
        assert (spool.rows, spool.hub, spool.acked("csv:x")) == (1000, "cafe", 3)
        spool.close()
        assert len(list(read_journal(path))) == 1000
    assert versions == sorted(versions) and set(versions) == {1, 2}


# -- memory


def test_committed_readings_in_memory_are_bounded_by_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "BYTES", 100_000)
    home = Home(tmp_path)
    for _ in range(50):
        home.fill(5, size=5000)
    assert sum(size for _, size in home.spool._recent._batches) == home.spool._recent._bytes <= 100_000
    assert len(home.spool.read(0, 1000)) == 250
    home.spool.close()
