"""Repositories added, removed and replaced while the hub runs: by the API, by the command, after a restart."""

import contextlib
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import BOURN, Program, csv_ids, hub, journal_ids, sensors, url_of
from repository_kinds import LIMIT_S, Bench

from bourn.cli import main
from bourn.hub.repositories import RepositoryError
from bourn.hub.repositories.roster import Roster


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "j.db")
    yield bench
    bench.stop()


@pytest.fixture
def roster(bench: Bench) -> Iterator[Roster]:
    roster = Roster(bench.spool)
    bench.drivers = roster.drivers
    yield roster
    for driver in list(roster.drivers):
        driver.stop(LIMIT_S)


def values(path: Path) -> list[str]:
    return [line.rpartition(",")[2] for line in path.read_text().splitlines()[1:]]


def test_added_removed_and_added_again(bench: Bench, roster: Roster, tmp_path: Path) -> None:
    url = f"csv:{tmp_path / 'a.csv'}"
    bench.put(1, 2)
    roster.add_url(url, 2, keep=True)
    bench.put(3)
    bench.settle()
    assert roster.remove(url)
    bench.put(4)
    time.sleep(0.05)
    assert values(tmp_path / "a.csv") == ["2", "3"]
    (row,) = roster.rows()
    assert (row["name"], row["state"], row["pos"], row["lag"]) == (url, "removed", 3, 1)
    with pytest.raises(RepositoryError, match="remembered at place 3"):
        roster.add_url(url, "oldest", keep=True)
    roster.add_url(url, keep=True)
    bench.settle()
    assert values(tmp_path / "a.csv") == ["2", "3", "4"]
    with pytest.raises(RepositoryError, match="there already"):
        roster.add_url(f"csv:{tmp_path}/../{tmp_path.name}/a.csv")
    assert roster.remove(url, forget=True)
    assert roster.rows() == []
    with pytest.raises(ValueError, match="there twice"):
        roster.add_url(url, "oldest", keep=True)
    with pytest.raises(RepositoryError, match="no repository"):
        roster.remove(url)


def test_what_it_forgot_stays_forgotten(bench: Bench, roster: Roster, tmp_path: Path) -> None:
    url = f"csv:{tmp_path / 'a.csv'}"
    roster.add_url(url)
    bench.put(1)
    bench.settle()
    bench.spool.sync()
    roster.remove(url, forget=True)
    bench.spool.sync()
    bench.spool.close()
    again = Bench(tmp_path / "j.db")
    assert again.spool.cursors() == {}
    again.stop()


def test_the_journal_itself_gets_nothing_twice(bench: Bench, roster: Roster, tmp_path: Path) -> None:
    assert roster.add_url(f"sqlite:{tmp_path}/./j.db", keep=True) is None
    assert roster.rows() == []


def test_one_in_the_middle_of_a_write_is_not_begun_again(
    bench: Bench, roster: Roster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bourn.hub.repositories.roster.STOP_S", 0.05)
    url = f"csv:{tmp_path / 'a.csv'}"
    driver: Any = roster.add_url(url)
    go_on, in_write = threading.Event(), threading.Event()
    write = driver.repository.write

    def slow(entries: list[Any]) -> Any:
        in_write.set()
        assert go_on.wait(LIMIT_S)
        return write(entries)

    driver.repository.write = slow
    bench.put(1)
    assert in_write.wait(LIMIT_S)
    assert not roster.remove(url, forget=True)
    assert [row["state"] for row in roster.rows()] == ["stopping"]
    with pytest.raises(RepositoryError, match="still stopping"):
        roster.add_url(url)
    go_on.set()
    assert driver.stop(LIMIT_S)
    assert bench.spool.cursors() == {}, "what it wrote at last does not bring the cursor back"
    assert roster.rows() == []


def test_what_was_added_is_there_after_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "j.db")
    roster = Roster(bench.spool)
    bench.drivers = roster.drivers
    for name in "abc":
        roster.add_url(f"csv:{tmp_path / name}.csv", keep=True)
    roster.remove(f"csv:{tmp_path / 'b.csv'}")
    kept = tmp_path / "j.db.repositories"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600, "a URL may hold a password"
    bench.put(1)
    bench.settle()
    bench.stop()
    (tmp_path / "c.csv").unlink()
    (tmp_path / "c.csv").mkdir()
    bench = Bench(tmp_path / "j.db")
    roster = Roster(bench.spool)
    bench.drivers = roster.drivers
    bench.put(2)
    (trouble,) = roster.restore()
    assert "c.csv could not be added again" in trouble, "the hub comes up without it"
    bench.settle()
    assert values(tmp_path / "a.csv") == ["1", "2"]
    assert values(tmp_path / "b.csv") == []
    bench.stop()


def test_by_the_command_while_readings_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Replaced in the middle of a run: both files together are what the journal has, and nothing is twice."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["repositories", *arguments, "--journal", "j.db"])
        return int(str(end.value)), *capfd.readouterr()

    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(hub(tmp_path, "--to", "csv:first.csv"))
        stack.enter_context(sensors(tmp_path, url_of(one), "--num-sensors", "2", "--every", "20ms"))
        end = time.monotonic() + LIMIT_S
        while len(csv_ids(tmp_path / "first.csv") if (tmp_path / "first.csv").exists() else []) < 20:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert run("add", "csv:all.csv", "--from", "oldest")[0] == 0
        status, out, err = run("list")
        assert (status, err) == (0, "")
        assert "csv:first.csv" in out and f"csv:{tmp_path}/all.csv" in out
        status, out, _ = run("remove", "csv:first.csv")
        assert status == 0 and out.startswith("removed csv:first.csv")
        assert run("add", "sqlite:second.db", "--from", "1")[0] == 0
        status, _, err = run("add", "csv:no/such/folder.csv")
        assert status == 1 and "no/such/folder.csv cannot be used: No such file or directory; choose another" in err
        status, _, err = run("add", "nowhere:")
        assert status == 1 and "there is no repository 'nowhere:'" in err
        status, _, err = run("add", "csv:all.csv", "--from", "yesterday")
        assert status == 1 and "neither now nor oldest nor a place" in err
        one.kill()
        first = csv_ids(tmp_path / "first.csv")
        two = stack.enter_context(hub(tmp_path))
        url_of(two)
        time.sleep(0.2)
        two.interrupt()
        assert two.ended() == 0
    ids = journal_ids(tmp_path)
    assert csv_ids(tmp_path / "all.csv") == ids, "it came back with the hub, and has all of it"
    assert first == ids[: len(first)]
    with Program(*BOURN, "read", "second.db", "--format", "csv", cwd=tmp_path) as program:
        assert program.ended() == 0
    assert [line.partition(",")[0] for line in program.out[1:]] == ids
