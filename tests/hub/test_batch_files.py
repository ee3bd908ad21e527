"""Batches as files and as objects: how large, how old, how named, and what a crash or an outage leaves."""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from repository_kinds import EPOCH, LIMIT_S, T0, Bench, by_source
from servers import free_port, s3_server

from bourn._compat import files as real_files
from bourn.hub.repositories import RepositoryError, make_repository
from bourn.hub.repositories import driver as driver_module
from bourn.hub.repositories.batch_files import Folder
from bourn.hub.repositories.driver import Driver

if os.environ.get("CI") != "true":
    pytest.importorskip("obstore")
    pytest.importorskip("pyarrow")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "j.db")
    yield bench
    bench.stop()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def until(what: Any, why: object) -> None:
    end = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.01)


def test_a_file_is_closed_by_its_rows_or_its_age(bench: Bench, tmp_path: Path) -> None:
    """The clock is the test's: an hour passes in no time."""
    now = [0.0]
    repository: Any = make_repository(f"file:{tmp_path / 'out'}?rows=10&age=3600")
    driver = Driver(bench.spool, repository, clock=lambda: now[0])
    driver.start()
    bench.drivers.append(driver)
    bench.put(*range(25))
    until(lambda: driver.lag == 5, driver.status())
    assert [name[17:] for name in files(tmp_path / "out")] == ["20.jsonl.gz"] or len(files(tmp_path / "out")) == 2
    now[0] = 3599.0
    bench.put(25)
    until(lambda: len(driver._batch) == 6, "it waits for more")
    assert len(files(tmp_path / "out")) == 2 and driver.lag == 6
    now[0] = 3600.0
    bench.put(26)
    until(lambda: not driver.lag, driver.status())
    names = files(tmp_path / "out")
    assert [tuple(map(int, name.split(".")[0].split("-"))) for name in names] == [(1, 10), (11, 20), (21, 27)]
    bench.put(27)
    assert driver.stop(LIMIT_S)
    assert [row[3] for row in repository.read()] == list(range(28)), "what waits is written at the stop"


def test_a_batch_has_a_bound_in_bytes(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "BATCH_BYTES", 100_000)
    bench.put(*["x" * 10_000] * 50)
    repository: Any = make_repository(f"file:{tmp_path / 'out'}?age=3600")
    monkeypatch.setattr(driver_module, "PAGE", 5)
    driver = bench.add(repository, "oldest")
    bench.settle()
    assert driver.stop(LIMIT_S)
    assert len(files(tmp_path / "out")) == 5
    assert len(list(repository.read())) == 50


def test_a_parquet_file_as_others_read_it(bench: Bench, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    bench.add(make_repository(f"parquet:{tmp_path / 'out'}?age=0"))
    stream = bench.spool.stream("s", EPOCH)
    bench.spool.take(stream, [(1, "t", T0, 5), (2, "t", 2**62, [1, 2.5]), (3, "u", -1, None), (4, "u", 0, 2.5)])
    bench.put_gap()
    bench.spool.sync()
    bench.settle()
    tables = [pq.read_table(path) for path in sorted((tmp_path / "out").rglob("*.parquet"))]
    table = tables[0]
    assert table.column_names == ["source", "epoch", "seq", "sensor", "time", "number", "value"]
    assert str(table.schema.field("time").type) == "timestamp[ms, tz=UTC]"
    assert table["number"].to_pylist() == [5.0, None, None, 2.5]
    assert table["value"].to_pylist() == ["5", "[1,2.5]", "null", "2.5"]
    gaps = [gap for t in tables for gap in json.loads((t.schema.metadata or {}).get(b"bourn.gaps", b"[]"))]
    assert gaps == [["s", EPOCH, 5, 7, "full"]]


def test_what_a_crash_left_half_written_is_no_file(bench: Bench, tmp_path: Path) -> None:
    repository: Any = make_repository(f"file:{tmp_path / 'out'}?age=0")
    driver = bench.add(repository)
    bench.put(1)
    bench.settle()
    driver.stop(LIMIT_S)
    bench.drivers.clear()
    (folder,) = (tmp_path / "out").iterdir()
    half = folder / f"{2:019d}-{9:019d}.jsonl.gz.part"
    half.write_bytes(b"torn")
    bench.put(2)
    bench.add(make_repository(f"file:{tmp_path / 'out'}?age=0"))
    bench.settle()
    assert not half.exists()
    assert [row[3] for row in repository.read()] == [1, 2]


def test_a_file_is_durable_before_its_name_says_that_it_is_whole(tmp_path: Path) -> None:
    class Noting:
        """The real file system, and what was asked of it."""

        def __init__(self) -> None:
            self.real = real_files
            self.done: list[tuple[str, str]] = []

        def __getattr__(self, what: str) -> Any:
            def note(first: Any, *others: Any) -> None:
                name = first if isinstance(first, str) else f"{first.name} of {os.fstat(first.fileno()).st_size}"
                self.done.append((what, os.path.relpath(name, tmp_path)))
                getattr(self.real, what)(first, *others)

            return note

    store = Folder(str(tmp_path / "new"))
    store._files = noting = Noting()  # type: ignore[assignment]  # the real one inside
    store.open()
    store.open()
    for n in (1, 2):
        store.put(f"0123456789abcdef/{n}.x", b"12345")
    one, two = (
        [("sync", f"{path}.part of 5"), ("rename", f"{path}.part"), ("sync_folder", "new/0123456789abcdef")]
        for path in ("new/0123456789abcdef/1.x", "new/0123456789abcdef/2.x")
    )
    assert noting.done == [("sync_folder", "."), ("sync_folder", "new"), *one, *two]


def test_from_the_beginning_only_where_nothing_is(bench: Bench, tmp_path: Path) -> None:
    url = f"file:{tmp_path / 'out'}?age=0"
    bench.put(1, 2)
    driver = bench.add(make_repository(url), "oldest")
    bench.settle()
    driver.stop(LIMIT_S)
    bench.drivers.clear()
    bench.spool.forget(url)
    with pytest.raises(ValueError, match="there twice"):
        bench.add(make_repository(url), "oldest")
    bench.put(3)
    repository: Any = make_repository(url)
    bench.add(repository)
    bench.settle()
    assert [row[3] for row in repository.read()] == [1, 2, 3], "forgotten, it still says itself where it was"


def test_an_object_store_that_comes_late_and_goes_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Away when the hub starts, there for a while, gone with all it had: each time it is told, and tried again."""
    monkeypatch.setattr(driver_module, "BACKOFF_S", (0.05,))
    from bourn.hub.repositories import object_store

    monkeypatch.setattr(object_store, "TRIES", 0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    port = free_port()
    repository: Any = make_repository(f"s3://bucket/p?endpoint=http://127.0.0.1:{port}&age=0")
    driver = bench.add(repository)
    bench.put(1, 2)
    until(lambda: driver.retries > 1, driver.status())
    assert driver.status()["state"] == "retrying" and driver.lag == 2
    with s3_server(port):
        bench.settle()
        assert by_source(list(repository.read())) == by_source(bench.all())
        bench.put(3)
        bench.settle()
    bench.put(4)
    until(lambda: driver.last_error, "the outage shows")
    with s3_server(port):
        bench.settle()
        assert [row[3] for row in repository.read()] == [4]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:", "a folder is missing"),
        ("parquet:x?rows=0", "no whole number from 1"),
        ("parquet:x?every=1", "there is no option 'every'"),
        ("file:x?form=xml", "there is no form 'xml'; known: jsonl, parquet"),
        ("s3://key:secret@bucket/p", "does not belong into the URL"),
        ("s3://bucket/p?secret_access_key=secret", "does not belong into the URL"),
        ("s3:bucket", "s3:bucket"),
    ],
)
def test_a_wrong_url(url: str, words: str) -> None:
    with pytest.raises(RepositoryError, match=words) as error:
        make_repository(url)
    assert "secret@" not in str(error.value) and "=secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "library", "extra"),
    [
        ("parquet:x", "pyarrow", "parquet"),
        ("s3://b/p", "obstore", "objects"),
        ("file:x?form=parquet", "pyarrow", "parquet"),
    ],
)
def test_without_the_library_it_says_what_to_install(
    url: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(RepositoryError, match=rf"pip install 'bourn\[{extra}\]'"):
        make_repository(url)
