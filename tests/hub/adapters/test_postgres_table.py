"""PostgreSQL adapters against a real server."""

import os
import sys

import pytest
from servers import postgresql

from bourn import OutputThing, SensorEvent
from bourn.hub.adapters.postgres_table import PostgresReader, PostgresWriter
from bourn.testing import Recorder

if os.environ.get("CI") != "true":
    pytest.importorskip("psycopg")

VALUES = ["nul \0", 1, -2.5, True, None, "text", 'quote " \\ %s', "é☃", [1, [2]], {"x": {"y": 1e300}}, 2**62]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with postgresql(tmp_path_factory.mktemp("server")) as conninfo:
        yield conninfo


def write(conninfo, events, **options):
    writer, thing = PostgresWriter(conninfo, pauses_s=(0.001, 0.01), **options), OutputThing()
    thing.connect(writer)
    for event in events:
        thing._dispatch_next(event)
    thing._dispatch_completed()
    assert thing.errors == 0
    return writer


def read(conninfo, times=1000, **options):
    reader, recorder = PostgresReader(conninfo, **options), Recorder()
    reader.connect(recorder)
    while times and reader._observe():
        times -= 1
    return reader, recorder


def test_what_was_written_is_read_back_in_order(server):
    wanted = [SensorEvent(f"s{i % 3}", 1_700_000_000_123 + i, VALUES[i % len(VALUES)]) for i in range(2500)]
    writer = write(server, wanted, table="all")
    _, recorder = read(server, table="all")
    assert recorder.events == wanted and recorder.end == "completed"
    assert (writer.written, writer.dropped, writer.rejected, writer.failures) == (2500, 0, 0, 0)


def test_a_name_is_quoted_and_may_have_a_schema(server):
    event = SensorEvent("x'; DROP TABLE y; --", 0, "'")
    for table in ('odd "name"; --', "public.other"):
        write(server, [event], table=table)
        assert read(server, table=table)[1].events == [event]


def test_only_what_the_database_refuses_is_rejected(server):
    events = [SensorEvent("s", i, i) for i in range(50)]
    events[7] = SensorEvent("nul \0", 7, 7)
    events[20] = SensorEvent("s", 10**18, 1)
    events[33] = SensorEvent("s", 0, float("inf"))
    writer = write(server, events, table="some")
    assert [e.val for e in read(server, table="some")[1].events] == [i for i in range(50) if i not in (7, 20, 33)]
    assert (writer.written, writer.rejected) == (47, 3)


def test_following_sees_what_comes_later(server):
    write(server, [SensorEvent("s", 1, 1)], table="later")
    reader, recorder = read(server, times=3, table="later", follow=True)
    write(server, [SensorEvent("s", 2, 2)], table="later")
    assert reader._observe() and [e.val for e in recorder.events] == [1, 2] and recorder.end is None
    reader.close()
    assert read(server, table="later", after=reader.after)[1].events == []


def test_a_broken_connection_is_opened_again(server):
    import psycopg

    writer = PostgresWriter(server, table="broken", batch_events=1, pauses_s=(0.001, 0.01))
    writer.on_next(SensorEvent("s", 1, 1))
    with writer._changed:
        assert writer._changed.wait_for(lambda: writer.written == 1 or writer.failures, 30) or writer.written
    with psycopg.connect(server, autocommit=True) as other:
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'bourn'"
        other.execute("SELECT pg_terminate_backend(pid) " + others)
    for i in range(2, 6):
        writer.on_next(SensorEvent("s", i, i))
    writer.close()
    assert writer.failures >= 1 and writer.written == 5
    assert [e.val for e in read(server, table="broken")[1].events] == [1, 2, 3, 4, 5]


def test_trouble_ends_the_reader_in_clear_words(server):
    nobody = "host=127.0.0.1 port=9"
    for conninfo, table, words in ((server, "missing", "does not exist"), (nobody, "t", "no connection")):
        _, recorder = read(conninfo, table=table)
        assert words in str(recorder.end)


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ImportError, match=r"pip install 'bourn\[postgres\]'"):
        PostgresWriter("")
