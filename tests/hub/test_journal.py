"""The journal: nothing taken is lost, nothing comes twice, places only grow, whoever reads while it is written."""

import contextlib
import importlib.util
import json
import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from servers import small_disk

from bourn.spool import Gap, recent, retention, sqlite
from bourn.spool.sqlite import JournalError, SqliteSpool, decode_value, encode_value, read_journal

EPOCH = "0123456789abcdef"
LIMIT_S = 60


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "j.db")


@pytest.fixture
def spool(path: str) -> Iterator[SqliteSpool]:
    spool = SqliteSpool(path)
    yield spool
    spool.close()


def fill(spool: SqliteSpool, n: int, source: str = "s") -> None:
    """Take `n` more readings, whose values are their numbers."""
    stream = spool.stream(source, EPOCH)
    first = stream.last + 1
    spool.take(stream, [(seq, "x", 1000 + seq, seq) for seq in range(first, first + n)])


def crash(spool: SqliteSpool) -> None:
    """The process is gone: nothing is committed any more."""
    spool._closed = True
    spool._db.close()
    spool._lock_file.close()


def numbers(path: str) -> list[Any]:
    """The values stored, in order, as another program reads them."""
    return [reading.val for reading in read_journal(path)]


# -- the contract of every spool


class Home:
    """Where a journal lives, as the contract suite wants it."""

    never = (("s", EPOCH, 10_000, "x", 1, "after a hole"),)
    cursors = ("one", "two")

    def __init__(self, path: str) -> None:
        self._path = path

    def open(self) -> SqliteSpool:
        return SqliteSpool(self._path, retain_rows=0)

    def crash(self, spool: SqliteSpool) -> None:
        crash(spool)

    def record(self, i: int) -> tuple[Any, ...]:
        return ("s", EPOCH, i, "x", 1000 + i, {"number": [i]})

    def number(self, entry: tuple[Any, ...]) -> int:
        assert entry[1].reading_id(entry[2]) == f"s:{EPOCH}:{entry[2]}"
        assert entry[3:] == ("x", 1000 + entry[2], {"number": [entry[2]]})
        return int(entry[2])


def contract() -> Any:
    """tests/shared is no place for pytest, so it is loaded from its file."""
    path = Path(__file__).parent.parent / "shared" / "core" / "spool_contract.py"
    spec = importlib.util.spec_from_file_location("spool_contract", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("check", contract().CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("memory", ["memory", "file"])
def test_the_contract_of_every_spool(path: str, monkeypatch: pytest.MonkeyPatch, check: Any, memory: str) -> None:
    if memory == "file":
        monkeypatch.setattr(recent, "ROWS", 0)  # all but the last batch is read from the database, in pages
        monkeypatch.setattr(sqlite, "PAGE", 4)
    check(lambda: Home(path))


# -- against a model: what was committed can be read from anywhere, in memory or in the file


class Journal(RuleBasedStateMachine):
    """One writer with its transactions, failures and crashes; after each step readers compare with the model."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.path = self.folder + "/j.db"
        self.spool = SqliteSpool(self.path)
        self.committed: list[tuple[Any, ...]] = []  # (pos, source, then seq, sensor, ts, val or the Gap)
        self.taken: list[tuple[Any, ...]] = []  # after that
        self.lasts: dict[str, int] = {}  # committed
        self.poisoned = 0
        self.highest = 0  # the highest place ever seen
        self.cursor = (0, None)
        self.saved = (0, None)

    def next_of(self, source: str) -> int:
        return int(self.spool.stream(source, EPOCH).last) + 1

    @rule(source=st.sampled_from("abc"), n=st.integers(1, 12))
    def take(self, source: str, n: int) -> None:
        first, pos = self.next_of(source), self.spool._pos
        rows = [(first + i, "x", 5 * i, [first + i]) for i in range(n)]
        self.spool.take(self.spool.stream(source, EPOCH), rows)
        self.taken += [(pos + 1 + i, source, *row) for i, row in enumerate(rows)]

    @rule(source=st.sampled_from("abc"), n=st.integers(1, 1000))
    def gap(self, source: str, n: int) -> None:
        gap = Gap(self.next_of(source), self.next_of(source) + n - 1, "full")
        self.spool.take_gap(self.spool.stream(source, EPOCH), gap)
        self.taken.append((self.spool._pos, source, gap))

    @rule(source=st.sampled_from("abc"))
    def poison(self, source: str) -> None:
        self.spool.take_poison(self.spool.stream(source, EPOCH), self.next_of(source), "bad", "raw")
        self.taken.append((self.spool._pos, source))

    @rule()
    def commit(self) -> None:
        self.spool.sync()
        self.settle(len(self.taken))

    @rule()
    def commit_while_more_comes(self) -> None:
        """As the ingest does it: what is taken between insert and commit belongs to the next transaction."""
        if self.spool.insert():
            n = len(self.taken)
            self.take("a", 2)
            self.spool.commit()
            self.spool.committed()
            self.settle(n)

    @rule(begun=st.booleans())
    def fail(self, begun: bool) -> None:
        """The transaction fails, before its commit or in it; more comes; then it is committed after all."""
        if begun:
            self.spool.insert()
        self.spool.rollback()
        n = len(self.taken)
        self.take("b", 3)
        if self.spool.insert():
            self.spool.commit()
            self.spool.committed()
            self.settle(n if n and begun else len(self.taken))

    def settle(self, n: int) -> None:
        self.committed += [entry for entry in self.taken[:n] if len(entry) > 2]
        self.poisoned += len([entry for entry in self.taken[:n] if len(entry) == 2])
        del self.taken[:n]
        self.saved = self.cursor

    @rule()
    def crash(self) -> None:
        crash(self.spool)
        self.reopen()
        self.taken.clear()
        self.cursor = self.saved

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.settle(len(self.taken))
        self.reopen()

    def reopen(self) -> None:
        self.spool = SqliteSpool(self.path)
        assert self.spool.rows == len([entry for entry in self.committed if len(entry) == 6])

    @precondition(lambda self: self.committed)
    @rule(share=st.floats(0, 1))
    def acknowledge(self, share: float) -> None:
        place = self.committed[int(share * (len(self.committed) - 1))][0]
        self.spool.ack(place, "reader", f"mark {place}")
        if place > self.cursor[0]:
            self.cursor = (place, f"mark {place}")

    @invariant()
    def it_is_what_it_should_be(self) -> None:
        if not hasattr(self, "spool"):
            return
        assert (self.spool.acked("reader") or 0, self.spool.mark("reader")) == self.cursor
        places = [entry[0] for entry in self.committed]
        assert places == sorted(set(places))
        if places:
            assert self.highest <= places[-1], "a place came again"
            self.highest = places[-1]
        for after in {None, 0, *places[-1:], *places[: len(places) // 2][-3:], *places[-8:-6]}:
            for limit in (1, 3, 1000):
                self.read(after, limit)

    def read(self, after: int | None, limit: int) -> None:
        expected = [entry for entry in self.committed if entry[0] > (after or 0)]
        got = [(entry[0], entry[1].source, *entry[2:]) for entry in self.spool.read(after, limit)]
        assert len(got) <= limit
        assert bool(got) == bool(expected)
        assert got == expected[: len(got)]

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            shutil.rmtree(self.folder)


def test_the_journal_against_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "ROWS", 20)
    monkeypatch.setattr(sqlite, "PAGE", 7)
    monkeypatch.setattr(sqlite, "CHUNK", 4)
    case = Journal.TestCase
    case.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
    case("runTest").runTest()


# -- when the medium fails


def test_a_full_disk_loses_nothing_and_heals(path: str) -> None:
    spool = SqliteSpool(path)
    fill(spool, 10)
    spool.sync()
    pages = spool._db.execute("PRAGMA page_count").fetchone()[0]
    spool._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    fill(spool, 5000)
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError, match="full"):
            spool.insert()
        spool.rollback()
        fill(spool, 1)
    assert spool.stream("s", EPOCH).committed == 10
    assert numbers(path) == list(range(1, 11))
    assert [entry[2] for entry in spool.read(None, 100)] == list(range(1, 11))
    spool._db.execute("PRAGMA max_page_count = 1000000")
    spool.sync()
    assert spool.stream("s", EPOCH).committed == 5013
    spool.close()
    assert numbers(path) == list(range(1, 5014))


def test_a_full_file_system_loses_nothing_and_heals(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "256k") as disk:
        path = str(disk / "j.db")
        spool = SqliteSpool(path)
        failed = taken = 0
        while not failed:
            fill(spool, 100)
            taken += 100
            try:
                if spool.insert():
                    spool.commit()
                    spool.committed()
            except sqlite3.Error:
                spool.rollback()
                failed += 1
            assert taken < 100_000
        stored = int(spool.stream("s", EPOCH).committed)
        assert stored < taken
        assert numbers(path) == list(range(1, stored + 1))
        subprocess.run(["mount", "-o", "remount,size=32m", disk], check=True)
        spool.sync()
        spool.close()
        assert numbers(path) == list(range(1, taken + 1))


def test_what_is_not_committed_is_gone_after_a_crash_and_nothing_else(path: str) -> None:
    spool = SqliteSpool(path)
    fill(spool, 3)
    spool.ack(2, "reader", "two")
    spool.sync()
    spool.ack(3, "reader", "three")
    fill(spool, 4)
    spool.insert()
    crash(spool)
    spool = SqliteSpool(path)
    assert (spool.acked("reader"), spool.mark("reader")) == (2, "two"), "an ack may be forgotten, a record not"
    stream = spool.stream("s", EPOCH)
    assert (stream.last, stream.committed, spool.rows) == (3, 3, 3)
    spool.close()


# -- places


def test_places_are_never_used_again(path: str) -> None:
    seen = 0
    for _ in range(3):
        spool = SqliteSpool(path, retain_rows=0)
        fill(spool, 5)
        spool.take_poison(spool.stream("s", EPOCH), spool.stream("s", EPOCH).last + 1, "bad", "raw")
        spool.sync()
        places = [entry[0] for entry in spool.read(None, 100)]
        assert len(places) == 5 and places[0] > seen
        seen = places[-1]
        spool.ack(seen, "reader")
        assert spool.trim() == 5
        assert spool.read(None, 100) == []
        spool.close()
    assert numbers(path) == []


def test_only_what_every_cursor_has_is_trimmed_within_retention(path: str) -> None:
    spool = SqliteSpool(path, retain_rows=3)
    fill(spool, 20)
    spool.sync()
    assert spool.trim() == 0, "nobody has anything yet"
    spool.ack(20, "fast")
    spool.ack(10, "slow")
    assert spool.trim() == 10
    spool.ack(20, "slow")
    assert spool.trim() == 7
    assert [entry[2] for entry in spool.read(10, 100)] == [18, 19, 20]
    spool.close()
    assert numbers(path) == [18, 19, 20]


def test_without_a_retention_limit_everything_is_kept(spool: SqliteSpool, path: str) -> None:
    fill(spool, 20)
    spool.ack(20, "reader")
    spool.sync()
    assert spool.trim() == 0
    assert len(numbers(path)) == 20


# -- readers


def test_readers_in_other_threads_see_everything_once_and_in_order(
    path: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(recent, "ROWS", 300)  # so that some fall behind, and read the file
    chance = random.Random(seed)
    spool = SqliteSpool(path)
    total, done = 20_000, threading.Event()
    seen: dict[int, list[Any]] = {}
    failures: list[BaseException] = []

    def follow(number: int) -> None:
        pages = random.Random(seed + number)
        at = 0
        entries: list[Any] = []
        try:
            while not done.is_set() or at < spool.last_pos():
                for entry in spool.read(at, pages.choice((1, 50, 2000)) if number else 2000):
                    assert entry[0] > at
                    at = entry[0]
                    entries.append(entry[-1])
        except BaseException as e:  # the edge of a thread: the test tells it
            failures.append(e)
        seen[number] = entries

    readers = [threading.Thread(target=follow, args=(i,)) for i in range(3)]
    for reader in readers:
        reader.start()
    expected: list[Any] = []
    stream = spool.stream("s", EPOCH)
    while len(expected) < total:
        what = chance.random()
        if what < 0.1:
            gap = Gap(stream.last + 1, stream.last + 5, "full")
            spool.take_gap(stream, gap)
            expected.append(gap)
        elif what < 0.2:
            spool.take_poison(stream, stream.last + 1, "bad", "raw")
        else:
            n = chance.choice((1, 10, 200))
            expected += range(stream.last + 1, stream.last + 1 + n)
            fill(spool, n)
        if chance.random() < 0.5:
            spool.sync()
    spool.sync()
    done.set()
    for reader in readers:
        reader.join(LIMIT_S)
    spool.close()
    assert not failures
    for entries in seen.values():
        assert entries == expected


def test_a_commit_between_the_two_queries_of_a_page_hides_nothing(path: str) -> None:
    """Readings and gaps are looked up one after the other: a gap committed in between must not come too early."""
    spool = SqliteSpool(path)
    held = spool.stream("s", EPOCH)  # a link has it; the owner's thread is not the reader's
    fill(spool, 3)
    spool.sync()
    spool._recent.forget(spool.last_pos())
    spool.read(0, 10)  # so that this thread has its connection
    there = spool._local.db

    class Interrupted:
        def execute(self, query: str, *args: Any) -> Any:
            cursor = there.execute(query, *args)
            rows = cursor.fetchall()
            if " reading " in query:
                fill(spool, 2)
                spool.take_gap(spool.stream("s", EPOCH), Gap(6, 9, "full"))
                spool.sync()
                spool._recent.forget(spool.last_pos())
            return Rows(rows)

    class Rows:
        def __init__(self, rows: list[Any]) -> None:
            self._rows = rows

        def fetchall(self) -> list[Any]:
            return self._rows

    spool._local.db = Interrupted()
    first = spool.read(0, 10)
    spool._local.db = there
    rest = spool.read(first[-1][0], 10)
    assert [entry[-1] for entry in first + rest] == [1, 2, 3, 4, 5, Gap(6, 9, "full")]
    assert held.committed == 9
    spool.close()


def test_a_waiting_reader_is_woken(path: str) -> None:
    spool = SqliteSpool(path)
    for wake in (lambda: (fill(spool, 1), spool.sync()), spool.wake, spool.close):
        stopped = threading.Event()
        after = spool.last_pos()
        waiter = threading.Thread(target=spool.wait, args=(after, stopped.is_set))
        waiter.start()
        waiter.join(0.05)
        assert waiter.is_alive()
        if wake == spool.wake:
            stopped.set()
        wake()
        waiter.join(LIMIT_S)
        assert not waiter.is_alive()


def test_the_stored_table_can_be_read_while_a_hub_writes(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "PAGE", 10)  # many short pages
    spool = SqliteSpool(path)
    fill(spool, 500)
    spool.sync()
    readings = read_journal(path)
    first = [next(readings) for _ in range(5)]
    fill(spool, 500)
    spool.sync()
    rest = list(readings)
    assert [r.val for r in first + rest] == list(range(1, len(first + rest) + 1))
    assert len(first + rest) >= 500, "what was there when it began"
    assert numbers(path) == list(range(1, 1001))
    assert first[0] == (1, f"s:{EPOCH}:1", 1001, "x", 1)
    half_read = read_journal(path)
    next(half_read)
    fill(spool, 1)
    spool.sync()
    spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # no reader holds the WAL
    assert os.path.getsize(path + "-wal") == 0
    spool.close()


@pytest.mark.parametrize("span", [1, 3, 1000])
def test_what_is_read_can_be_bounded(path: str, monkeypatch: pytest.MonkeyPatch, span: int) -> None:
    monkeypatch.setattr(sqlite, "PAGE", span)
    spool = SqliteSpool(path)
    stream = spool.stream("s", EPOCH)
    spool.take(stream, [(i, "ab"[i % 2], 100 * i, i) for i in range(1, 101)])
    spool.sync()
    spool.close()

    def values(**bounds: Any) -> list[Any]:
        return [reading.val for reading in read_journal(path, **bounds)]

    assert values(sensor="a") == list(range(2, 101, 2))
    assert values(since=5000) == list(range(50, 101))
    assert values(until=5000) == list(range(1, 50)), "half open"
    assert values(since=5000, until=5100) == [50]
    assert values(sensor="b", since=5000, until=5100) == []
    assert values(sensor="'; DROP TABLE reading; --") == []


# -- bounds


def test_the_quarantine_is_bounded(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MOST_QUARANTINED", 10)
    spool = SqliteSpool(path)
    stream = spool.stream("s", EPOCH)
    for seq in range(1, 36):
        spool.take_poison(stream, seq, "bad", "x" * 5000)
        if seq % 4 == 0:
            spool.sync()
    spool.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        kept = db.execute("SELECT seq, length(raw) FROM quarantine ORDER BY pos").fetchall()
    assert kept == [(seq, 1000) for seq in range(26, 36)], "the newest, cut short"


def test_committed_rows_in_memory_are_bounded(spool: SqliteSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "ROWS", 100)
    for _ in range(50):
        fill(spool, 30)
        spool.sync()
    assert sum(len(rows) for rows, _ in spool._recent._batches) == spool._recent._rows <= 100


def test_append_keeps_the_order_of_a_source(spool: SqliteSpool) -> None:
    assert spool.append(("s", EPOCH, 1, "x", 5, "a")) == 1
    assert spool.append(("s", EPOCH, 1, "x", 5, "a")) is None, "a duplicate"
    with pytest.raises(ValueError, match="next number is 2"):
        spool.append(("s", EPOCH, 3, "x", 5, "c"))
    assert spool.counters["duplicates"] == 1


# -- who may open it


def test_a_second_hub_is_refused(path: str) -> None:
    first = SqliteSpool(path)
    with pytest.raises(JournalError, match="another hub"):
        SqliteSpool(path)
    fill(first, 1)
    os.symlink(path, path + "2")
    with pytest.raises(JournalError, match="another hub"):
        SqliteSpool(path + "2")
    first.close()
    SqliteSpool(path).close()
    assert numbers(path) == [1]


def test_a_newer_format_is_refused(path: str) -> None:
    SqliteSpool(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="newer Bourn"):
        SqliteSpool(path)


def other_database(path: Path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(
            f"CREATE TABLE meta (name TEXT); INSERT INTO meta VALUES ('x'); PRAGMA user_version = {version};"
        )


def half_a_journal(path: Path) -> None:
    spool = SqliteSpool(str(path))
    fill(spool, 1)
    spool.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript("DROP VIEW readings; DROP TABLE stream;")


def cut_in_two(path: Path) -> None:
    spool = SqliteSpool(str(path))
    fill(spool, 5000)
    spool.close()
    path.write_bytes(path.read_bytes()[:9000])


NO_JOURNALS = {
    "a database of something else": lambda path: other_database(path, 0),
    "one with our number": lambda path: other_database(path, 1),
    "a journal without a table": half_a_journal,
    "a text": lambda path: path.write_text("id,time,sensor,value\r\n" * 100),
    "zeros": lambda path: path.write_bytes(bytes(8192)),
    "a folder": lambda path: path.mkdir(),
    "a journal cut in two": cut_in_two,
}


@pytest.mark.parametrize("what", NO_JOURNALS)
def test_what_is_no_journal_is_refused_and_not_touched(tmp_path: Path, what: str) -> None:
    path = tmp_path / "j.db"
    NO_JOURNALS[what](path)
    before = path.read_bytes() if path.is_file() else None
    for use in (SqliteSpool, lambda path: list(read_journal(path))):
        with pytest.raises(JournalError) as e:
            use(str(path))
        assert str(path) in str(e.value) and "\n" not in str(e.value)
    assert before == (path.read_bytes() if path.is_file() else None)


def test_a_missing_folder_and_a_missing_journal_are_told(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="--journal"):
        SqliteSpool(str(tmp_path / "no" / "j.db"))
    with pytest.raises(JournalError, match="no journal"):
        list(read_journal(str(tmp_path / "j.db")))
    assert list(tmp_path.iterdir()) == [], "asking makes nothing"


@pytest.mark.parametrize("name", [":memory:", "a b?c#d%20.db", "file:x.db", "é.db"])
def test_every_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    spool = SqliteSpool(name)
    fill(spool, 3)
    spool.sync()
    spool._recent.forget(spool.last_pos())
    assert len(spool.read(None, 10)) == 3
    spool.close()
    assert numbers(name) == [1, 2, 3]
    assert (tmp_path / name).is_file()


# -- values


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert exactly(decode_value(encode_value(value))) == exactly(value)
    with contextlib.closing(sqlite3.connect(":memory:")) as db:  # a column without a type, as in the journal
        db.execute("CREATE TABLE t (val)")
        db.execute("INSERT INTO t VALUES (?)", (encode_value(value),))
        assert exactly(decode_value(db.execute("SELECT val FROM t").fetchone()[0])) == exactly(value)


def exactly(value: Any) -> str:
    """What tells 1 from 1.0 and True."""
    return json.dumps(value)


def test_numbers_are_stored_as_numbers() -> None:
    assert [encode_value(v) for v in (5, -0.5, 2**62)] == [5, -0.5, 2**62]
    assert [encode_value(v) for v in (None, True, "5", [1, 2], {"a": "é"})] == [
        "null",
        "true",
        '"5"',
        "[1,2]",
        '{"a":"é"}',
    ]
