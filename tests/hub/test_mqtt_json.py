"""Foreign devices that publish JSON through a real broker: read by a template, at least once, garbage harms nobody."""

import asyncio
import json
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from paho.mqtt import publish
from peer import Gate, Peer, readings, rows, running
from processes import BOURN, Program, count, hub, query, stored_of, until
from servers import free_port, mosquitto, nats_server
from test_connections import true

from bourn.cli import main
from bourn.hub.connections import check_free
from bourn.hub.connections.json_template import Refusal, Template
from bourn.hub.control_file import read_control
from bourn.hub.hub import Hub

LIMIT_S = 30
QUERY = "?value=value&time=ts"


def url_of(port: int, query: str = QUERY) -> str:
    return f"mqtt+json://127.0.0.1:{port}/plant/{{source}}/{{sensor}}{query}"


def say(port: int, *messages: tuple[str, Any], qos: int = 1) -> None:
    """Publish, and wait until the broker has everything: (topic, JSON value or bytes)."""
    told = [
        {"topic": topic, "payload": what if isinstance(what, bytes) else json.dumps(what), "qos": qos}
        for topic, what in messages
    ]
    publish.multiple(told, port=port)


def listener_of(hub: Hub) -> Any:
    return hub._listeners[0]


def read(url: str, topic: str, payload: bytes) -> Any:
    template = Template(url)
    return template.readings(template.names(topic)[1], payload, 77)


@pytest.mark.parametrize(
    ("query", "payload", "expected"),
    [
        ("", "21.5", [("t", 77, 21.5)]),
        ("", '{"a": [1, "x"]}', [("t", 77, {"a": [1, "x"]})]),
        ("?value=a.b", '{"a": {"b": true}}', [("t", 77, True)]),
        ("?value=a.1.v&time=at", '{"a": [0, {"v": null}], "at": 3}', [("t", 3000, None)]),
        ("?time=at&time_unit=ns", '{"at": 3000000}', [("t", 3, {"at": 3000000})]),
        ("?value=v&time=at", '{"v": 1, "at": "1970-01-01T01:00:01.5+01:00"}', [("t", 1500, 1)]),
        ("?value=v&time=at", '{"v": 1, "at": "1970-01-01T00:00:02"}', [("t", 2000, 1)]),
        ("?value=x.t&value=h&value=no", '{"x": {"t": 1}, "h": 2}', [("t.t", 77, 1), ("t.h", 77, 2)]),
    ],
)
def test_what_a_template_reads(query: str, payload: str, expected: Any) -> None:
    assert read(f"mqtt+json://h/a/{{source}}/+/{{sensor}}{query}", "a/s/x/t", payload.encode()) == expected


@pytest.mark.parametrize(
    ("query", "topic", "payload", "code"),
    [
        ("", "a/..%/t", b"1", "name"),
        ("", "a/-x/t", b"1", "name"),
        ("", "a/s/" + "t" * 65, b"1", "name"),
        ("", "a/s/t", b"", "json"),
        ("", "a/s/t", b"{", "json"),
        ("", "a/s/t", b"NaN", "json"),
        ("", "a/s/t", b'"\xff"', "json"),
        ("", "a/s/t", b"[" * 30_000, "json"),
        ("", "a/s/t", b" " * 65_537, "size"),
        ("", "a/s/t", b"9" * 30, "value"),
        ("", "a/s/t", b"1e999", "json"),
        ("", "a/s/t", b'"\\ud800"', "json"),
        ("?value=v", "a/s/t", b"[1]", "value"),
        ("?value=0", "a/s/t", b"[]", "value"),
        ("?time=at", "a/s/t", b"{}", "time"),
        ("?time=at", "a/s/t", b'{"at": true}', "time"),
        ("?time=at", "a/s/t", b'{"at": 1e300}', "time"),
        ("?time=at", "a/s/t", b'{"at": "yesterday"}', "time"),
    ],
)
def test_what_no_template_reads(query: str, topic: str, payload: bytes, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        read(f"mqtt+json://h/a/{{source}}/{{sensor}}{query}", topic, payload)
    assert refused.value.code == code and len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mqtt+json:///a/{source}/{sensor}", "looks like mqtt"),
        ("mqtt+json://h/a/{source}", "the sensor has to be named once"),
        ("mqtt+json://h/{source}/{sensor}?source=x", "the source has to be named once"),
        ("mqtt+json://h/{source}/{sensor}/%23", "cannot stand in a topic"),
        ("mqtt+json://h/x{source}/{sensor}", "cannot stand in a topic"),
        ("mqtt+json://h/{sensor}?source=-x", "not allowed"),
        ("mqtt+json://h/{source}/{sensor}?vale=x", "there may be value"),
        ("mqtt+json://h/{source}/{sensor}?value=a..b", "no path"),
        ("mqtt+json://h/{source}/{sensor}?time_unit=h", "use s, ms"),
        ("mqtt+json://h/{source}/{sensor}?window=0", "from 1 to 60000"),
        ("mqtt+json://h:99999/{source}/{sensor}", "[Pp]ort"),
        ("mqtt+json://192.0.2.1/{source}/{sensor}", "does not encrypt"),
    ],
)
def test_what_is_wrong_with_a_url_is_told(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_free(url)
    check_free("mqtts+json://me:se%40cret@192.0.2.1/{source}/{sensor}")
    assert Template("mqtts+json://me:se%40cret@h/{source}/{sensor}").url == "mqtts+json://h:8883/{source}/{sensor}"


def test_an_id_is_a_number_or_a_short_text() -> None:
    template = Template("mqtt+json://h/a/{source}/{sensor}?value=v&id=m.id")
    for identity in (7, -1, "boot-3:7"):
        assert template.read("t", json.dumps({"v": 1, "m": {"id": identity}}).encode(), 77) == (
            identity,
            [("t", 77, 1)],
        )
    for wrong in (None, True, 1.5, [1], "x" * 129):
        with pytest.raises(Refusal, match="no id"):
            template.read("t", json.dumps({"v": 1, "m": {"id": wrong}}).encode(), 77)
    with pytest.raises(Refusal, match="no id"):
        template.read("t", b'{"v": 1}', 77)


@pytest.mark.parametrize("network", [None, 5])
def test_what_comes_twice_under_one_id_is_stored_once(tmp_path: Path, network: int | None) -> None:
    """While the first is under way, waits for credit, and is on disk; the broker hears of both after the commit."""
    port = free_port()

    async def life() -> None:
        async with running(
            tmp_path, listen_url=url_of(port, "?value=v&id=n&window=40"), network_in_flight=network
        ) as hub:
            gate, listener = Gate(hub), listener_of(hub)
            gate.shut()
            told = [(f"plant/a/t{k}", {"v": n, "n": n}) for n in range(6) for k in range(2)]
            await asyncio.to_thread(say, port, *told, *told)
            await true(lambda: listener.counters["duplicates"] == 12, "all have come")
            assert len(listener._under_way) == 24 and hub.journal.rows == 0, "nothing before the commit"
            gate.open()
            await true(lambda: hub.journal.rows == 12 and not listener._under_way, "all is acknowledged")
            await asyncio.to_thread(say, port, *told, ("plant/b/t0", {"v": 0, "n": 0}))
            await true(lambda: hub.journal.rows == 13 and not listener._under_way, "another source's is another")
            assert listener.counters["duplicates"] == 24 and listener.counters["quarantined"] == 0

    with mosquitto(tmp_path, port, "max_inflight_messages 100"):
        asyncio.run(life())
    assert sorted(row[3] for row in readings(tmp_path)) == sorted([*range(6), *range(6), 0])


def test_ids_are_remembered_as_many_as_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = free_port()
    monkeypatch.setattr("bourn.hub.connections.mqtt_json.REMEMBERED", 10)

    async def life() -> None:
        async with running(tmp_path, listen_url=url_of(port, "?id=n&value=n")) as hub:
            for rows, first in ((20, 0), (20, 10), (30, 0)):  # the last ten are known, those before are not any more
                await asyncio.to_thread(say, port, *[("plant/a/t", {"n": n}) for n in range(first, first + 10)])
                if not first and rows == 20:
                    await asyncio.to_thread(say, port, *[("plant/a/t", {"n": n}) for n in range(10, 20)])
                await true(lambda rows=rows: hub.journal.rows == rows, f"{rows} rows")
            assert listener_of(hub).counters["duplicates"] == 10

    with mosquitto(tmp_path, port):
        asyncio.run(life())


@pytest.mark.parametrize("network", [None, 5])
def test_readings_are_stored_and_garbage_is_in_nobodys_way(tmp_path: Path, network: int | None) -> None:
    """More garbage than the broker lets be unacknowledged (20), and all that is good arrives after it."""
    port = free_port()

    async def life() -> dict[str, Any]:
        async with running(tmp_path, listen_url=url_of(port), network_in_flight=network) as hub:
            garbage = [(f"plant/kiln/t{i % 3}", b"{%d" % i) for i in range(60)]
            strangers = [("plant/.kiln/t", {"value": 1})] * 30
            good = [(f"plant/oven{i % 2}/t", {"value": i, "ts": i}) for i in range(200)]
            await asyncio.to_thread(say, port, *garbage, *strangers, *good)
            await true(lambda: hub.journal.rows == 200, "all that is good is stored")
            await true(lambda: hub.journal.counters["quarantined"] == 60, "and what is not is kept apart")
            status: dict[str, Any] = hub.status()
            return status

    with mosquitto(tmp_path, port):
        status = asyncio.run(life())
    stored = readings(tmp_path)
    for k in range(2):
        mine = [row for row in stored if row[0] == f"oven{k}"]
        assert [seq for _, _, seq, _ in mine] == list(range(1, 101))
        # Sorted: with its window (20) full, mosquitto 2.0.11 now and then delivers later messages first.
        assert sorted(val for _, _, _, val in mine) == [2 * i + k for i in range(100)]
    assert rows(tmp_path, "SELECT ts FROM reading ORDER BY ts LIMIT 2") == [(0,), (1000,)]
    poisoned = rows(tmp_path, "SELECT reason, raw FROM quarantine ORDER BY pos")
    assert len(poisoned) == 60 and poisoned[7][1] == "{7" and "plant/kiln/t1: not JSON" in poisoned[7][0]
    (listening,) = status["listeners"]
    assert listening["url"] == f"mqtt+json://127.0.0.1:{port}/plant/{{source}}/{{sensor}}"
    assert listening["state"] == "up" and "'plant/.kiln/t'" in listening["last_refusal"]
    counted = {name: n for name, n in listening["counters"].items() if n}
    assert counted == {"messages": 290, "quarantined": 60, "refused_name": 30}
    assert {row["source"]: row["runtime"] for row in status["links"]} == dict.fromkeys(
        ["kiln", "oven0", "oven1"], "JSON"
    )
    assert network is None or status["network"]["peak"] <= network


def test_nothing_is_acknowledged_before_the_commit_and_no_more_than_the_window_taken(tmp_path: Path) -> None:
    port = free_port()

    async def life() -> None:
        async with running(tmp_path, listen_url=url_of(port, QUERY + "&window=7")) as hub:
            gate, listener = Gate(hub), listener_of(hub)
            gate.shut()
            await asyncio.to_thread(say, port, *[("plant/a/t", {"value": i, "ts": 1}) for i in range(300)])
            await true(lambda: listener.counters["held"] == 1, "the window is full")
            assert len(listener._under_way) == 7 and listener.status()["unacknowledged"] == 7
            assert hub.journal.rows == 0
            gate.open()
            await true(lambda: hub.journal.rows == 300, "it goes on")
            assert listener.counters["repeated"] == 0

    with mosquitto(tmp_path, port, "max_queued_messages 1000"):
        asyncio.run(life())
    assert [row[3] for row in readings(tmp_path)] == list(range(300))


STOPPING = """
import os, signal, sys
from bourn.spool import sqlite
where, after = sys.argv[1], int(sys.argv[2])
whole = sqlite.SqliteSpool.commit
def commit(journal):
    global after
    after -= len(journal._batch.entries)
    if after < 0 and where == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    whole(journal)
    if after < 0:
        os.kill(os.getpid(), signal.SIGKILL)
sqlite.SqliteSpool.commit = commit
from bourn.cli import main
main(sys.argv[3:])
"""


def test_a_hub_that_is_killed_between_receipt_and_commit_gets_everything_again(tmp_path: Path) -> None:
    port, sent = free_port(), 0
    options = ["hub", "--listen", url_of(port), "--journal", "j.db", "--no-web", "--for", "5m"]

    def told(n: int) -> list[tuple[str, Any]]:
        return [("plant/a/t", {"value": i, "ts": 1}) for i in range(n, n + 100)]

    with mosquitto(tmp_path, port, "max_queued_messages 5000"):
        for where in ("before", "after", "before"):
            with Program(sys.executable, "-c", STOPPING, where, "50", *options, cwd=tmp_path) as program:
                program.said(r"^hub +mqtt")
                say(port, *told(sent))
                sent += 100
                assert program.ended() == -signal.SIGKILL, program.err
        with hub(tmp_path, "--no-web", listen=url_of(port)) as program:  # what came while it was away as well
            program.said(r"^hub +mqtt")
            until(
                lambda: query(tmp_path, "SELECT count(DISTINCT val) FROM reading") == [(sent,)], "everything is there"
            )
            program.interrupt()
            assert program.ended() == 0
    twice = count(tmp_path) - sent
    print(f"{sent} published, {twice} stored twice")
    assert twice <= 3 * 40, "only what was on its way when the hub was killed"
    assert query(tmp_path, "SELECT count(DISTINCT epoch) FROM stream")[0][0] >= 2


@pytest.mark.parametrize("broker", [mosquitto, nats_server])
def test_a_broker_that_is_restarted_costs_nothing(tmp_path: Path, broker: Any) -> None:
    """mosquitto ends in order and keeps what it holds in its file; nats-server keeps it over a kill -9 as well."""
    port = free_port()
    folder = tmp_path / "broker"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    lines = () if broker is nats_server else ("persistence true", f"persistence_location {folder}/", "user root")

    async def life() -> None:
        process = broker(tmp_path, port, *lines)
        program = process.__enter__()
        async with running(tmp_path, listen_url=url_of(port)) as hub:
            gate, listener = Gate(hub), listener_of(hub)
            for k in range(2):
                gate.shut()
                told = [("plant/a/t", {"value": i, "ts": 1}) for i in range(100 * k, 100 * k + 100)]
                await asyncio.to_thread(say, port, *told)
                await true(lambda: listener._under_way, "some are on their way")
                if broker is nats_server:
                    program.kill()
                await asyncio.to_thread(process.__exit__, None, None, None)
                await true(lambda: listener.last_error, "it is noticed")
                (listening,), (link,) = hub.status()["listeners"], hub.status()["links"]
                assert listening["state"] == link["state"] == "down"
                assert link["last_error"] == listening["last_error"] != ""
                process = broker(tmp_path, port, *lines)
                program = await asyncio.to_thread(process.__enter__)
                gate.open()
                await true(lambda k=k: distinct(tmp_path) == 100 * k + 100, "everything comes")
            await true(lambda: listener.last_error is None, "it is subscribed")  # kept messages may come before that
            assert hub.status()["links"][0]["state"] == "up" and hub.status()["links"][0]["links"] == 1
            assert listener.counters["lost_sessions"] == 0
        process.__exit__(None, None, None)

    asyncio.run(life())
    assert [row[3] for row in readings(tmp_path)[:10]] == list(range(10))


def distinct(folder: Path) -> int:
    return int(rows(folder, "SELECT count(DISTINCT val) FROM reading")[0][0])


def test_a_name_that_belongs_to_another_is_refused(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "keys").mkdir()

    async def life() -> Any:
        urls = [url_of(port, ""), "tcp://127.0.0.1:0"]
        async with running(tmp_path, listen_url=urls) as hub, await Peer.greeted(hub.urls[1], "bourns-own") as peer:
            listener = listener_of(hub)
            await asyncio.to_thread(say, port, ("plant/bourns-own/t", 1), ("plant/late/t", 2))
            await true(lambda: listener.counters["refused_taken"] == 1 and hub.journal.rows == 1, "it is refused")
            await peer.deliver(10)
            async with await Peer.greeted(hub.urls[1], "late") as late:  # a sensor that proves its name comes first
                await true(lambda: hub.ingest.refusals["replaced"] == 1, "the other has gone")
                await asyncio.to_thread(say, port, ("plant/late/t", 3))
                await true(lambda: listener.counters["refused_taken"] == 2, "it is refused")
                await late.deliver(20)
            return listener.counters

    with mosquitto(tmp_path, port):
        asyncio.run(life())
    assert [(row[0], row[3]) for row in readings(tmp_path)] == [("late", 2), ("bourns-own", 10), ("late", 20)]


def test_a_source_with_a_key_is_no_foreign_device(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(SystemExit):
        main(["keys", "add", "secret", "--journal", str(tmp_path / "j.db"), "--out", str(tmp_path / "secret.key")])

    async def life() -> None:
        async with running(tmp_path, listen_url=url_of(port, "")) as hub:
            await asyncio.to_thread(say, port, ("plant/secret/t", 1), ("plant/open/t", 2))
            await true(
                lambda: listener_of(hub).counters["refused_key"] == 1 and hub.journal.rows == 1, "one is refused"
            )
        with pytest.raises(ValueError, match="can prove no key"):
            async with running(tmp_path, listen_url=url_of(port, ""), require_keys=True):
                pass

    with mosquitto(tmp_path, port):
        asyncio.run(life())
    assert [row[0] for row in readings(tmp_path)] == ["open"]


def test_messages_of_quality_0_and_retained_ones(tmp_path: Path) -> None:
    port = free_port()

    async def life() -> None:
        await asyncio.to_thread(publish.single, "plant/a/t", "1", 1, True, port=port)
        async with running(tmp_path, listen_url=url_of(port, "")) as hub:
            counters = listener_of(hub).counters
            await true(lambda: counters["retained"] == 1, "what was retained is passed over")
            await asyncio.to_thread(say, port, ("plant/a/t", 2), qos=0)
            await true(lambda: hub.journal.rows == 1, "it is stored")
            assert counters["at_most_once"] == 1

    with mosquitto(tmp_path, port):
        asyncio.run(life())
    assert [row[3] for row in readings(tmp_path)] == [2]


def test_two_templates_over_the_same_topics_are_two_clients(tmp_path: Path) -> None:
    """A broker ends the older of two clients of one name, and the two would end each other for ever."""
    port = free_port()
    urls = [f"mqtt+json://127.0.0.1:{port}/plant/{words}" for words in ("{source}/{sensor}", "{sensor}/{source}")]

    async def life() -> None:
        async with running(tmp_path, listen_url=urls) as hub:
            await asyncio.to_thread(say, port, ("plant/a/b", 1))
            await true(lambda: hub.journal.rows == 2, "both have it")
            names = [listener._name for listener in hub._listeners]  # type: ignore[attr-defined]  # of this kind
            assert len(set(names)) == 2
            assert [listener._connection for listener in hub._listeners] == [0, 0]  # type: ignore[attr-defined]  # same
        async with running(tmp_path, listen_url=urls) as hub:  # and in another run they have the same names
            assert [listener._name for listener in hub._listeners] == names  # type: ignore[attr-defined]  # same

    with mosquitto(tmp_path, port):
        asyncio.run(life())
    assert sorted(row[0] for row in readings(tmp_path)) == ["a", "b"]


def test_a_journal_that_cannot_be_asked_passes_no_message_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bourn.hub.connections.mqtt_json.RETRY_S", 0.05)
    port, failures = free_port(), 2

    async def life() -> None:
        async with running(tmp_path, listen_url=url_of(port)) as hub:
            listener, whole = listener_of(hub), hub.journal.stream

            def broken(source: str, epoch: str) -> Any:
                nonlocal failures
                if failures:
                    failures -= 1
                    raise sqlite3.OperationalError("disk I/O error")
                return whole(source, epoch)

            hub.journal.stream = broken  # type: ignore[method-assign]  # the real one, made to fail
            await asyncio.to_thread(say, port, *[("plant/a/t", {"value": i, "ts": 1}) for i in range(5)])
            await true(lambda: hub.journal.rows == 5 and not listener._under_way, "all is stored and acknowledged")
            assert len(hub.ingest.links) == 1 and listener.last_error is None
            assert listener.counters["messages"] == 5

    with mosquitto(tmp_path, port):
        asyncio.run(life())
    assert failures == 0 and [row[3] for row in readings(tmp_path)] == [0, 1, 2, 3, 4]


def test_the_example_of_the_page(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "connections.md").read_text()
    found = re.search(r"```toml\n(.*?)```\n\n```sh\n(.*?)```\n\nbecomes", page, re.DOTALL)
    assert found
    settings, command = found.groups()
    port = free_port()
    (tmp_path / "hub.toml").write_text(settings.replace(":1883", f":{port}").replace(":7007", ":0"))
    words = shlex.split(command)
    with mosquitto(tmp_path, port), Program(*BOURN, "hub", "--config", "hub.toml", cwd=tmp_path) as program:
        program.said(r"^hub +tcp://")
        publish.single(words[words.index("-t") + 1], words[words.index("-m") + 1], 1, port=port)
        until(lambda: stored_of(tmp_path, "bourn.db") == {"greenhouse": 1}, "it is stored")
        asked = subprocess.run([*BOURN, "status"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        assert re.search(
            rf"^mqtt\+json://127.0.0.1:{port}/sensors/.* up +1 +[01](?:\.\d)? +0/1,000 +messages 1 *$",
            asked,
            re.MULTILINE,
        ), asked
        control = read_control(str(tmp_path / "bourn.db"))
        assert control is not None
        headers = {"Authorization": f"Bearer {control.token}"}
        figures = httpx.get(f"{control.url}/metrics", headers=headers, trust_env=False).text
        assert re.search(
            r'^bourn_listener_events_total\{listener="mqtt\+json:.*",what="messages"\} 1.0$', figures, re.MULTILINE
        )
        assert re.search(r'^bourn_listener_up\{listener="mqtt\+json:.*"\} 1.0$', figures, re.MULTILINE)
        program.interrupt()
        assert program.ended() == 0
    assert query(tmp_path, "SELECT sensor, ts, val FROM reading", "bourn.db") == [("t1", 1769860800000, 21.5)]
