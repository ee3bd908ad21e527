"""What every repository keeps, and the driver that lets a slow or broken one delay only itself."""

import asyncio
import csv
import datetime
import io
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peer import Peer, running
from repository_kinds import EPOCH, KINDS, LASTING, LIMIT_S, T0, Bench, Place, same

from bourn._compat import files
from bourn.hub.repositories import Appender, RepositoryError, csv_file, make_repository, readings, sqlite_file
from bourn.hub.repositories import driver as driver_module
from bourn.hub.repositories.csv_file import CsvFile, format_time
from bourn.hub.repositories.driver import Driver
from bourn.hub.repositories.memory import Memory
from bourn.hub.repositories.screen import LINES, Screen
from bourn.spool import Gap
from bourn.spool.sqlite import Entry, SqliteSpool, Stream

VALUES = [
    1,
    -0.5,
    2**63 - 1,
    -(2**63) + 1,
    0.1 + 0.2,
    1e300,
    -5e-324,
    1.0,
    "\\ back\\nslash \\.",
    "nul \0, tab \t, esc \x1b",
    False,
    "null",
    None,
    True,
    "plain",
    'with "quotes", commas\r\nand lines',
    "ünïcode 😀",
    [1, [2.5, "x"]],
    {"a": {}},
    "",
]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "j.db")
    yield bench
    bench.stop()


# -- what every repository keeps


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    return Place(tmp_path, request)


def test_everything_in_its_order(bench: Bench, place: Place, kind: str) -> None:
    repository, contents = KINDS[kind](place)
    bench.add(repository)
    bench.put(*VALUES)
    bench.put_gap()
    for i in range(30):
        bench.put(i, source=f"s{i % 3}")
    bench.put(*VALUES, source="other")
    bench.settle()
    assert same(kind, contents(), bench.all())
    bench.stop()
    assert len(contents()) == 2 * len(VALUES) + 30


def test_a_new_one_begins_with_what_comes(bench: Bench, place: Place, kind: str) -> None:
    bench.put(*range(10))
    repository, contents = KINDS[kind](place)
    bench.add(repository)
    bench.settle()
    assert contents() == []
    bench.put(11, 12)
    bench.settle()
    assert same(kind, contents(), bench.all()[10:])


def test_what_was_committed_is_taken_before_the_stop(bench: Bench, place: Place, kind: str) -> None:
    repository, contents = KINDS[kind](place)
    driver = bench.add(repository)
    for i in range(20):
        bench.put(i)
    assert driver.stop(LIMIT_S)
    assert same(kind, contents(), bench.all())


def test_one_that_fails_is_opened_again_and_gets_everything_once(
    bench: Bench, place: Place, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "BACKOFF_S", (0.01,))
    repository, contents = KINDS[kind](place)
    calls: list[str] = []
    write, reopen = repository.write, repository.open

    def failing(entries: list[Entry]) -> str | None:
        calls.append("write")
        if calls.count("write") in {2, 3, 5}:
            raise OSError(5, "broken (by the test)")
        return write(entries)

    def opening(mark: str | None) -> None:
        calls.append("open")
        reopen(mark)

    monkeypatch.setattr(repository, "write", failing)
    monkeypatch.setattr(repository, "open", opening)
    bench.add(repository)
    for i in range(10):
        bench.put(i, str(i))
        bench.settle()
    assert same(kind, contents(), bench.all())
    first = calls.index("write")
    assert calls[first + 1 : first + 6] == ["write", "open", "write", "open", "write"], "every retry begins with open"


@pytest.mark.parametrize("start", ["oldest", 4, "now"])
def test_where_it_begins(bench: Bench, place: Place, kind: str, start: str | int) -> None:
    bench.put(*range(10))
    repository, contents = KINDS[kind](place)
    bench.add(repository, start)
    bench.settle()
    bench.put(10)
    bench.settle()
    assert same(kind, contents(), bench.all()[{"oldest": 0, 4: 3, "now": 10}[start] :])


def test_gaps_alone(bench: Bench, place: Place, kind: str) -> None:
    repository, contents = KINDS[kind](place)
    bench.add(repository)
    bench.put_gap()
    bench.settle()
    bench.put_gap(source="other")
    bench.put(1)
    bench.settle()
    assert same(kind, contents(), bench.all())


@pytest.fixture(params=LASTING)
def lasting(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_crash_between_its_commit_and_the_cursor(tmp_path: Path, place: Place, lasting: str) -> None:
    """What was written last is always younger than the cursor that the journal has on disk, and comes again."""
    bench = Bench(tmp_path / "j.db")
    bench.put("before it was there")
    repository, contents = KINDS[lasting](place)
    bench.add(repository, "oldest")
    for i in range(6):
        for j in range(i):
            bench.put(*range(j + 1), source=f"s{j % 2}")
            if j % 2:
                bench.settle()
        bench.settle()
        bench.spool.ack = lambda *place: None  # type: ignore[method-assign]  # it dies before it could
        bench.put("as good as forgotten", i, source="s1")
        bench.put_gap(source="s0")
        bench.settle()
        bench.crash()
        bench = Bench(tmp_path / "j.db")
        assert (bench.spool.acked(repository.url) or 0) <= bench.spool.last_pos() - 3
        repository, contents = KINDS[lasting](place)
        bench.add(repository)
    bench.put("last")
    bench.settle()
    assert same(lasting, contents(), bench.all())
    bench.stop()


def test_a_commit_that_nobody_heard_of(
    bench: Bench, place: Place, lasting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has the batch, and the answer is lost: it is asked again, or gets the batch again."""
    monkeypatch.setattr(driver_module, "BACKOFF_S", (0.01,))
    repository, contents = KINDS[lasting](place)
    write, calls = repository.write, []

    def unheard(entries: list[Entry]) -> str | None:
        mark = write(entries)
        calls.append(len(entries))
        if len(calls) % 2:
            raise OSError(5, "cut (by the test)")
        return mark

    bench.add(repository)
    monkeypatch.setattr(repository, "write", unheard)
    for i in range(10):
        bench.put(i, str(i))
        if i % 3:
            bench.settle()
    bench.settle()
    assert len(calls) > 3
    assert same(lasting, contents(), bench.all())


def test_removed_and_added_again_it_goes_on(bench: Bench, place: Place, lasting: str) -> None:
    repository, contents = KINDS[lasting](place)
    driver = bench.add(repository)
    bench.put(1, 2)
    bench.settle()
    assert driver.stop(LIMIT_S)
    bench.drivers.remove(driver)
    bench.put(3, 4)
    repository, contents = KINDS[lasting](place)
    bench.add(repository)
    bench.settle()
    assert same(lasting, contents(), bench.all())


# -- the driver


class Stubborn:
    """A repository that does what a test says; `keeps` a cursor or not."""

    def __init__(self, keeps: bool = False) -> None:
        self.url = "stubborn:"
        self.keeps = keeps
        self.got: list[Any] = []
        self.go_on = threading.Event()
        self.failure: Exception | None = None
        self.in_write = threading.Event()
        self.marks: list[str | None] = []
        self.closed = 0

    def open(self, mark: str | None) -> None:
        self.marks.append(mark)

    def write(self, entries: list[Entry]) -> str | None:
        self.in_write.set()
        if entries and not self.go_on.wait(2 * LIMIT_S):
            raise TimeoutError
        if self.failure:
            raise self.failure
        self.got += readings(entries)
        return str(len(self.got))

    def close(self) -> None:
        self.closed += 1


def test_a_stuck_one_delays_only_itself_and_the_stop_is_in_time(bench: Bench, tmp_path: Path) -> None:
    stuck = Stubborn()
    memory: list[Any] = []
    slow = bench.add(stuck)
    fast = bench.add(Appender(memory))
    bench.put(1)
    assert stuck.in_write.wait(LIMIT_S)
    bench.drivers.remove(slow)
    for i in range(50):
        bench.put(i)
    bench.settle()
    assert len(memory) == 51
    assert (slow.lag, fast.lag) == (51, 0)
    began = time.monotonic()
    assert not slow.stop(0.2)
    assert time.monotonic() - began < LIMIT_S
    stuck.go_on.set()
    assert slow.stop(LIMIT_S)
    assert same("list", stuck.got, bench.all()), "it had time after all"
    assert stuck.closed == 1


def test_a_hub_with_a_stuck_repository_ends(tmp_path: Path) -> None:
    stuck = Stubborn(keeps=True)

    async def main() -> None:
        async with running(tmp_path) as hub, await Peer.greeted(hub.url, "s") as peer:
            hub.add(stuck)
            await peer.deliver(1, 2, 3)
            assert await asyncio.to_thread(stuck.in_write.wait, LIMIT_S)
            await peer.deliver(4)
            await hub.stop()
            assert hub.stored == 4

    asyncio.run(main())
    stuck.go_on.set()
    spool = SqliteSpool(str(tmp_path / "j.db"))
    assert spool.acked("stubborn:") == 0, "what it has not taken is kept for it"
    assert len(spool.read(0, 10)) == 4
    spool.close()


def test_a_broken_one_shows_its_error_and_stops_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "BACKOFF_S", (3600.0,))
    broken = Stubborn(keeps=True)
    broken.go_on.set()
    driver = bench.add(broken)
    broken.failure = RuntimeError("broken (by the test)")
    bench.put(1)
    end = time.monotonic() + LIMIT_S
    while not driver.status()["last_error"]:
        assert time.monotonic() < end
        time.sleep(0.005)
    status = driver.status()
    assert (status["state"], status["last_error"], status["lag"]) == (
        "retrying",
        "RuntimeError: broken (by the test)",
        1,
    )
    assert driver.stop(LIMIT_S)
    assert broken.closed == 1
    assert bench.spool.acked("stubborn:") == 0, "the journal keeps the rest for it"


def test_an_error_at_the_end_is_no_traceback(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    class Unclosable(Stubborn):
        def close(self) -> None:
            raise OSError(28, "no space left (by the test)")

    unclosable = Unclosable()
    unclosable.go_on.set()
    driver = bench.add(unclosable)
    bench.put(1)
    bench.settle()
    assert driver.stop(LIMIT_S)
    assert "no space" in (driver.last_error or "")
    assert "Traceback" not in capfd.readouterr().err


def test_what_cannot_be_opened_is_told_at_once(bench: Bench, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "all.csv"):
        with pytest.raises(OSError):
            Driver(bench.spool, CsvFile(str(path))).start()


def test_the_cursor_is_saved_with_the_readings(bench: Bench, tmp_path: Path) -> None:
    kept = Stubborn(keeps=True)
    kept.go_on.set()
    bench.put(*range(5))
    bench.add(kept)
    bench.put(*range(5, 10))
    bench.settle()
    bench.stop()
    assert kept.got == [(f"s:{EPOCH}:{i + 1}", T0 + i + 1, "t", i) for i in range(5, 10)]
    again = Bench(tmp_path / "j.db")
    again.put(10)
    again.add(kept)
    again.settle()
    again.stop()
    assert kept.marks == [None, "5"]
    assert [row[3] for row in kept.got] == list(range(5, 11)), "goes on where it was, with what came meanwhile"


def test_a_laggard_reads_the_file(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bourn.spool.recent.ROWS", 10)
    slow = Stubborn()
    bench.add(slow)
    for i in range(300):
        bench.put(i, [i], str(i))
    assert bench.spool._recent._rows <= 10
    slow.go_on.set()
    bench.settle()
    assert same("list", slow.got, bench.all())


# -- the CSV file, whatever happens to it


def lines(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_lines_of_a_csv_file(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    bench.add(CsvFile(str(path)))
    bench.put(5, -0.25, "text, with a comma", [1, 2], None)
    bench.settle()
    bench.stop()
    times = [format_time(T0 + i) for i in range(1, 6)]
    assert lines(path) == [
        ["id", "time", "sensor", "value"],
        [f"s:{EPOCH}:1", times[0], "t", "5"],
        [f"s:{EPOCH}:2", times[1], "t", "-0.25"],
        [f"s:{EPOCH}:3", times[2], "t", '"text, with a comma"'],
        [f"s:{EPOCH}:4", times[3], "t", "[1,2]"],
        [f"s:{EPOCH}:5", times[4], "t", "null"],
    ]
    assert times[0] == "2026-09-21T14:13:20.001Z"
    assert path.read_bytes().endswith(b"\r\n")


def test_a_time_outside_the_calendar_is_a_number(tmp_path: Path) -> None:
    assert format_time(2**62) == str(2**62)
    assert format_time(0) == "1970-01-01T00:00:00.000Z"
    assert format_time(-1) == "1969-12-31T23:59:59.999Z"


@pytest.mark.parametrize("ts", [0, 1, 999, -1, -1500, T0 + 7, 253402300799999, 2**62, -(2**62)])
def test_a_time_is_read_back_as_it_was(bench: Bench, tmp_path: Path, ts: int) -> None:
    repository = CsvFile(str(tmp_path / "all.csv"))
    bench.add(repository)
    bench.spool.take(bench.spool.stream("s", EPOCH), [(1, "t", ts, 5)])
    bench.spool.sync()
    bench.settle()
    assert list(repository.read()) == [(f"s:{EPOCH}:1", ts, "t", 5)]


def test_reading_back_between_bounds(bench: Bench, tmp_path: Path) -> None:
    for repository in (CsvFile(str(tmp_path / "all.csv")), Memory()):
        bench.add(repository)
    bench.put(1, 2, 3)
    bench.put(4, sensor="u")
    bench.settle()
    for driver in bench.drivers:
        read: Any = driver.repository.read  # type: ignore[attr-defined]  # those two can be read
        assert [row[3] for row in read(sensor="t")] == [1, 2, 3]
        assert [row[3] for row in read(since=T0 + 2)] == [2, 3, 4]
        assert [row[3] for row in read(until=T0 + 3)] == [1, 2]
        assert [row[3] for row in read(sensor="t", since=T0 + 2, until=T0 + 3)] == [2]


def test_a_crash_at_any_byte_leaves_no_torn_line_and_no_reading_twice(tmp_path: Path) -> None:
    """The file ends at every length there can be after the last saved mark; each time the hub is started again."""
    path = tmp_path / "all.csv"
    bench = Bench(tmp_path / "j.db")
    bench.add(CsvFile(str(path)))
    bench.put("first", 1)
    bench.settle()
    bench.put("with\r\na line", "ünïcode", 2.5)  # the mark of the first is saved with these
    bench.settle()
    expected, whole = bench.all(), path.read_bytes()
    bench.crash()
    saved = SqliteSpool(bench.path)
    mark = int((saved.mark(f"csv:{path}") or "0").split()[0])
    saved.close()
    assert 0 < mark < len(whole)
    shutil.copy(bench.path, tmp_path / "kept.db")
    for length in range(mark, len(whole) + 1):
        shutil.copy(tmp_path / "kept.db", bench.path)
        path.write_bytes(whole[:length])
        again = Bench(tmp_path / "j.db")
        repository = CsvFile(str(path))
        again.add(repository)
        again.settle()
        again.stop()
        assert path.read_bytes() == whole, f"cut at {length}"
        assert list(repository.read()) == expected


def test_a_crash_before_anything_was_saved(tmp_path: Path) -> None:
    """The header and the first readings may be torn too, while the journal knows nothing of the file yet."""
    path = tmp_path / "all.csv"
    for length in range(30):
        path.write_bytes(b"id,time,sensor,value\r\n"[:length])
        bench = Bench(tmp_path / f"{length}.db")
        repository = CsvFile(str(path))
        bench.add(repository)
        bench.put(1, 2)
        bench.settle()
        bench.stop()
        assert [row[3] for row in repository.read()] == [1, 2], f"cut at {length}"
        path.unlink()


def test_a_file_that_someone_made_shorter_or_took_away(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    for change in ("shorter", "gone", "empty"):
        bench = Bench(tmp_path / f"{change}.db")
        bench.add(CsvFile(str(path)))
        bench.put(1, 2, 3)
        bench.settle()
        bench.stop()
        if change == "shorter":
            path.write_bytes(path.read_bytes()[:-4])
        elif change == "gone":
            path.unlink()
        else:
            path.write_bytes(b"")
        bench = Bench(tmp_path / f"{change}.db")
        repository = CsvFile(str(path))
        bench.add(repository)
        bench.put(4)
        bench.settle()
        bench.stop()
        assert lines(path)[0] == list(csv_file.COLUMNS)
        assert lines(path)[-1][0] == f"s:{EPOCH}:4"
        path.unlink()


def test_a_file_that_someone_else_has_put_there_loses_no_byte(tmp_path: Path) -> None:
    """What is behind the cursor is cut off after a crash, but only of the file that the cursor is of."""
    path = tmp_path / "all.csv"
    foreign = [b"my own notes, " * 100 + b"without an end", b"id,time,sensor,value\r\n" + b"a:0:1,then,b,1\r\n" * 50]
    for i, content in enumerate(foreign):
        for change in (0, 1):
            bench = Bench(tmp_path / f"{i}{change}.db")
            bench.add(CsvFile(str(path)))
            bench.put(*range(1 + 99 * change))
            bench.settle()
            bench.stop()
            path.write_bytes(content)
            bench = Bench(tmp_path / f"{i}{change}.db")
            bench.add(CsvFile(str(path)))
            bench.put(4)
            bench.settle()
            bench.stop()
            whole = path.read_bytes()
            assert whole.startswith(content) and len(lines(path)[-1]) == 4
            assert lines(path)[-1][3] == "4"
            path.unlink()


def test_what_a_cursor_covers_is_on_the_medium(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut leaves of a file what was synced, and of a database what FULL promises."""
    path = tmp_path / "all.csv"
    durable = 0
    sync = files.sync

    def synced(file: Any) -> None:
        nonlocal durable
        sync(file)
        durable = path.stat().st_size

    monkeypatch.setattr(files, "sync", synced)
    repository = CsvFile(str(path))
    bench.add(repository)
    for i in range(5):
        bench.put(i)
        bench.settle()
        assert int((bench.spool.mark(repository.url) or "0").split()[0]) == durable == path.stat().st_size
    database = sqlite_file.SqliteFile(str(tmp_path / "other.db"))
    bench.add(database)
    assert database._db is not None
    assert database._db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
    assert database._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_new_csv_file_is_in_its_folder_before_the_cursor_says_so(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    bench.add(CsvFile(str(tmp_path / "all.csv")))
    assert synced == [str(tmp_path)]
    bench.put(1)
    bench.settle()
    assert synced == [str(tmp_path)], "once is enough"


def test_what_is_no_exception_of_pythons_own_kind_does_not_end_the_thread(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library in Rust panics with something that is no Exception."""
    monkeypatch.setattr(driver_module, "BACKOFF_S", (0.01,))

    class Panic(BaseException):
        pass

    panicky = Stubborn()
    panicky.go_on.set()
    panicky.failure = Panic("index out of bounds (by the test)")  # type: ignore[assignment]  # the point of it
    driver = bench.add(panicky)
    bench.put(1)
    end = time.monotonic() + LIMIT_S
    while not driver.retries:
        assert time.monotonic() < end and driver.alive
        time.sleep(0.005)
    assert "Panic: index out of bounds" in (driver.last_error or "")
    panicky.failure = None
    bench.settle()
    assert same("list", panicky.got, bench.all())


def test_a_full_disk_under_a_csv_file(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some bytes of a batch have reached the file when the disk is full; later there is room again."""
    monkeypatch.setattr(driver_module, "BACKOFF_S", (0.01,))
    path = tmp_path / "all.csv"
    repository = CsvFile(str(path))
    bench.add(repository)
    bench.put(1, 2)
    bench.settle()
    full = 3
    opened = repository.open

    class Full:
        """The open file, on a disk with room for 20 bytes."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            nonlocal full
            if full:
                full -= 1
                self.file.write(data[:20])
                self.file.flush()
                raise OSError(28, "no space left (by the test)")
            return int(self.file.write(data))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    def opening(mark: str | None) -> None:
        opened(mark)
        repository._file = Full(repository._file)  # type: ignore[assignment]  # the faulty one

    monkeypatch.setattr(repository, "open", opening)
    repository._file = Full(repository._file)  # type: ignore[assignment]  # the faulty one
    bench.put(3, 4, 5)
    bench.settle()
    assert full == 0
    assert list(repository.read()) == bench.all()


# -- the database beside the journal


def test_epochs_cost_a_database_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board that wakes every five minutes begins a hundred thousand epochs a year."""
    monkeypatch.setattr(sqlite_file, "KNOWN_STREAMS", 10)
    repository = sqlite_file.SqliteFile(str(tmp_path / "other.db"))
    place = 0

    def entries() -> list[Entry]:
        nonlocal place
        place += 3
        streams = [Stream(0, "s", f"{n % 40:016x}", 0) for n in range(place - 3, place)]
        return [(place - 2 + i, stream, place, "t", T0, i) for i, stream in enumerate(streams)]

    repository.open(None)
    repository.resume("hub", None)
    for _ in range(50):
        repository.write(entries())
        assert len(repository._streams) <= 12
    repository.open(None)
    repository.resume("hub", None)
    assert len(repository._streams) <= 12
    repository.write(entries())
    got = list(repository.read())
    assert len({id for id, *_ in got}) == len(got) == 153
    assert len({id.split(":")[1] for id, *_ in got}) == 40, "an epoch is one stream, however often it was forgotten"
    repository.close()


def test_a_database_that_was_restored_from_a_backup_gets_again_what_it_lacks(tmp_path: Path) -> None:
    path, backup = tmp_path / "other.db", tmp_path / "backup.db"
    for values in ((1, 2, 3), (4, 5, 6), (7,)):
        bench = Bench(tmp_path / "j.db")
        bench.add(sqlite_file.SqliteFile(str(path)))
        bench.put(*values)
        bench.settle()
        everything = bench.all()
        bench.stop()
        if values[0] == 1:
            shutil.copy(path, backup)
        elif values[0] == 4:
            shutil.copy(backup, path)
    assert list(sqlite_file.SqliteFile(str(path)).read()) == everything and len(everything) == 7


def test_a_gap_that_has_grown_is_told_whole(tmp_path: Path) -> None:
    """After a crash it comes again, and retention may have joined it meanwhile with what was behind it."""
    repository = sqlite_file.SqliteFile(str(tmp_path / "other.db"))
    repository.open(None)
    repository.resume("hub", None)
    stream = Stream(1, "s", EPOCH, 0)
    for last in (3, 9, 5):
        repository.write([(last, stream, Gap(1, last, "trimmed"))])
    assert repository._db is not None
    assert repository._db.execute("SELECT first, last FROM gap").fetchall() == [(1, 9)]
    repository.close()


# -- the terminal, memory, and names


def test_the_screen_shows_local_time_source_sensor_and_value() -> None:
    out = io.StringIO()
    screen = Screen(out)
    stream = type("S", (), {"source": "s1"})()
    screen.write([(1, stream, 1, "s1", T0 + 5, 7), (2, stream, 2, "t", 2**62, [1]), (3, stream, Gap(3, 9, "full"))])
    shown = datetime.datetime.fromtimestamp((T0 + 5) / 1000).strftime("%H:%M:%S.005")
    assert out.getvalue().splitlines() == [
        f"{shown}  s1            7",
        f"{2**62}  s1/t          [1]",
        "              s1            7 readings are lost: full",
    ]


def test_a_terminal_that_knows_few_characters_is_no_reason_to_stop() -> None:
    shown = io.BytesIO()
    screen = Screen(io.TextIOWrapper(shown, "ascii"))
    stream = Stream(1, "s", EPOCH, 0)
    screen.write([(1, stream, 1, "s", T0, "zwölf µm")])
    assert b"zw\\xf6lf \\xb5m" in shown.getvalue()


def test_a_flood_on_the_screen_is_summed_up() -> None:
    out = io.StringIO()
    stream = type("S", (), {"source": "s1"})()
    Screen(out).write([(i, stream, i, "s1", T0, i) for i in range(1, LINES + 101)])
    shown = out.getvalue().splitlines()
    assert len(shown) == LINES + 1
    assert "100 readings" in shown[0]
    assert shown[-1].endswith(f"  {LINES + 100}")


def test_memory_is_bounded_and_counts_what_went() -> None:
    memory = Memory(bound=10)
    stream = type("S", (), {"reading_id": lambda self, seq: f"s:{seq}"})()
    for i in range(25):
        memory.write([(i, stream, i, "s", i, i)])
    assert [row[3] for row in memory.read()] == list(range(15, 25))
    assert memory.dropped == 15


@pytest.mark.parametrize("url", ["", "csv", "csv:", "sqlight:x.db", "http://x", ":", "C:\\x", "memory", "screen"])
def test_an_unknown_repository_is_told_with_those_there_are(url: str) -> None:
    with pytest.raises(RepositoryError) as e:
        make_repository(url)
    assert "csv:PATH" in str(e.value) and "\n" not in str(e.value)


def test_repositories_by_their_urls(tmp_path: Path) -> None:
    assert make_repository(f"csv:{tmp_path}/a:b.csv").url == f"csv:{tmp_path}/a:b.csv"
    assert make_repository("memory:").url == "memory:"
    assert make_repository("screen:").url == "screen:"
