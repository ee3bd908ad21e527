"""One line for each thing that happens to the hub: as text or JSON, without secrets, and never a flood."""

import io
import json
import logging
import re
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import count, hub, sensors, until, url_of

from bourn import wire
from bourn.hub import log
from bourn.hub.log import BURST, REFILL_S, Bound, redact, start_log, told


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a JSON log with every level writes."""
    logger = logging.getLogger("bourn")
    stream = io.StringIO()
    handler = start_log("debug", "json", stream)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_what_and_its_fields(written: io.StringIO) -> None:
    told(logging.WARNING, "refused", "link s1 (127.0.0.1:5): too long", source="s1", code="size")
    (line,) = lines(written)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", str(line.pop("time")))
    assert line == {
        "level": "warning",
        "event": "refused",
        "text": "link s1 (127.0.0.1:5): too long",
        "source": "s1",
        "code": "size",
    }


def test_fields_cannot_stand_for_what_the_line_says(written: io.StringIO) -> None:
    told(logging.INFO, "link_up", "up\n2026 ERROR forged", event_="x", time="never", text_="\x1b[31m")
    (line,) = lines(written)
    assert line["time"] != "never"
    assert line["text"] == "up\\n2026 ERROR forged", "a peer's line break makes no second line"


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("postgresql://me:hunter2@db.example/readings", "postgresql://***@db.example/readings"),
        ("mqtt://:hunter2@broker", "mqtt://***@broker"),
        ("http://127.0.0.1:8080/?token=hunter2&x=1", "http://127.0.0.1:8080/?token=***&x=1"),
        ("connection failed: password=hunter2 host=db", "connection failed: password=*** host=db"),
        ("Authorization: Bearer hunter2", "Authorization: Bearer ***"),
        ("postgresql://me:hun/ter@2@db/readings", "postgresql://***@db/readings"),
        ("http://127.0.0.1:8080/ as it is", "http://127.0.0.1:8080/ as it is"),
        ("s1:0123456789abcdef:7", "s1:0123456789abcdef:7"),
    ],
)
def test_secrets_are_taken_out(said: str, left: str, written: io.StringIO) -> None:
    assert redact(said) == left
    told(logging.ERROR, "repository_failed", said, repository=said)
    assert "hunter2" not in written.getvalue()
    assert lines(written)[0]["text"] == left


def test_a_flood_is_a_few_lines_and_a_number() -> None:
    now = 0.0
    bound = Bound(lambda: now)

    def passes(event: str) -> logging.LogRecord | None:
        record = logging.LogRecord("bourn.hub", logging.INFO, "", 0, "x", (), None)
        record.event = event
        return record if bound.filter(record) else None

    assert sum(passes("refused") is not None for _ in range(1000)) == BURST
    assert passes("link_up") is not None, "another event has its own room"
    now += REFILL_S
    record = passes("refused")
    assert record is not None and record.__dict__["left_out"] == 1000 - BURST
    assert passes("refused") is None
    now += REFILL_S * 1000
    assert sum(passes("refused") is not None for _ in range(1000)) == BURST


def test_the_life_of_a_hub_in_its_log(tmp_path: Path) -> None:
    with hub(tmp_path, "--log-format", "json", "--log-level", "info") as program:
        url = url_of(program)
        with sensors(tmp_path, url, "--num-sensors", "1", "--every", "0.1", "--micropython", "none") as nodes:
            until(lambda: count(tmp_path), "a reading")
            nodes.interrupt()
            assert nodes.ended() == 0
        host, port = url.removeprefix("tcp://").rsplit(":", 1)
        with socket.create_connection((host, int(port))) as bad:
            bad.sendall(struct.pack(">I", wire.MAX_FRAME * 2))
            bad.settimeout(30)
            while bad.recv(100):
                pass
        program.interrupt()
        assert program.ended() == 0
    told_ = [json.loads(line) for line in program.err]
    assert [line["event"] for line in told_] == ["started", "link_up", "link_down", "refused", "stopped"]
    assert told_[1]["source"] == "s1" and told_[1]["level"] == "info"
    assert told_[3]["code"] == "too_long" and told_[3]["level"] == "warning"


def test_text_is_the_default_and_only_trouble_is_told(tmp_path: Path) -> None:
    with hub(tmp_path) as program:
        host, port = url_of(program).removeprefix("tcp://").rsplit(":", 1)
        for _ in range(50):
            with socket.create_connection((host, int(port))) as bad:
                bad.sendall(b"GET / HTTP/1.1\r\n\r\n")
                bad.settimeout(30)
                while bad.recv(1000):
                    pass
        program.interrupt()
        assert program.ended() == 0
    assert BURST <= len(program.err) < 50
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} WARNING refused: ", line) for line in program.err)


@pytest.mark.parametrize(("option", "value"), [("--log-level", "loud"), ("--log-format", "xml")])
def test_a_wrong_choice_is_told(option: str, value: str, tmp_path: Path) -> None:
    with hub(tmp_path, option, value) as program:
        assert program.ended() == 2
    assert value in program.err[-1] and option in program.err[-1]
    assert set(log.LEVELS if "level" in option else log.FORMATS) <= set(re.findall(r"\w+", program.err[-1]))
