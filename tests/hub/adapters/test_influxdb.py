"""The InfluxDB writer, against a small server that parses the line protocol by its own rules."""

import json
import random
import re
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers import influxdb

from bourn import SensorEvent
from bourn.hub.adapters.influxdb import InfluxWriter, format_line


def parse_line(line):
    """(measurement, tags, fields, time, length) of the first line, read from left to right."""
    at = 0

    def word(stops):
        nonlocal at
        made = ""
        while at < len(line) and line[at] not in stops:
            if line[at] == "\\" and at + 1 < len(line) and line[at + 1] in ", =":
                at += 1
            made += line[at]
            at += 1
        return made

    def expect(c):
        nonlocal at
        assert at < len(line) and line[at] == c, f"{c!r} expected at {at} of {line!r}"
        at += 1

    def value():
        nonlocal at
        if line[at] != '"':
            text = word(", \n")
            if text in ("true", "false"):
                return text == "true"
            return int(text[:-1]) if text.endswith("i") else float(text)
        at += 1
        made = ""
        while line[at] != '"':
            if line[at] == "\\" and line[at + 1] in '"\\':
                at += 1
            made += line[at]
            at += 1
        at += 1
        return made

    measurement, tags, fields = word(", "), {}, {}
    while line[at] == ",":
        at += 1
        name = word("=, ")
        expect("=")
        tags[name] = word(", =")
    expect(" ")
    while True:
        name = word("=")
        expect("=")
        fields[name] = value()
        if at == len(line) or line[at] in " \n":
            break
        expect(",")
    time = None
    if line[at : at + 1] == " ":
        at += 1
        time = int(word("\n"))
    return measurement, tags, fields, time, at


def parse_lines(text):
    """The points of a request's body."""
    points = []
    while text:
        *point, length = parse_line(text)
        points.append(tuple(point))
        assert text[length : length + 1] in ("", "\n")
        text = text[length + 1 :]
    return points


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            owner = self.server
            owner.requests.append((urlsplit(self.path).path, parse_qs(urlsplit(self.path).query), self.headers))
            status = owner.answers.pop(0) if owner.answers else 204
            if status == 204:
                points = parse_lines(body)
                if any(fields.get("val_text") == "poison" for _, _, fields, _ in points):
                    status = 400
                else:
                    owner.points += points
            self.send_response(status)
            answer = b"" if status == 204 else b'{"error":"so it is"}'
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.points, server.requests, server.answers = [], [], []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def write(url, events, **options):
    writer = InfluxWriter(url, **{"database": "db", "pauses_s": (0.001, 0.01), **options})
    for event in events:
        writer.on_next(event)
    writer.on_completed()
    return writer


def test_readings_arrive_as_points(server):
    values = [1, -2.5, True, 'say "hi" \\', "a,b = c", "two\nlines", {"x": 1, "y z": False}]
    events = [SensorEvent("s 1,=é", 1000 + i, val) for i, val in enumerate(values)]
    writer = write(server.url, events, batch_events=3)
    fields = [{"val": 1}, {"val": -2.5}, {"val_bool": True}, *({"val_text": values[i]} for i in (3, 4, 5))]
    fields.append({"x": 1, "y z_bool": False})
    wanted = [("reading", {"sensor": "s 1,=é"}, found, 1000 + i) for i, found in enumerate(fields)]
    assert server.points == wanted and (writer.written, writer.rejected, writer.failures) == (7, 0, 0)
    path, query, headers = server.requests[0]
    assert (path, query) == ("/write", {"db": ["db"], "precision": ["ms"]})
    assert "Authorization" not in headers and len(server.requests) <= len(values)


def test_version_2_names_org_bucket_and_token(server):
    write(server.url + "/at/", [SensorEvent("s", 1, 2)], database=None, org="me & co", bucket="b", token="secret")
    path, query, headers = server.requests[0]
    assert (path, query) == ("/at/api/v2/write", {"org": ["me & co"], "bucket": ["b"], "precision": ["ms"]})
    assert headers["Authorization"] == "Token secret"


def test_trouble_is_tried_again_and_what_is_refused_is_left_out(server):
    server.answers = [503, 429, 401]
    events = [SensorEvent("s", i, "poison" if i in (3, 17) else i) for i in range(30)]
    events += [SensorEvent("s", 0, float("nan")), SensorEvent("", 0, None), SensorEvent("s", 1 << 70, 1)]
    writer = write(server.url, events)
    assert [time for _, _, _, time in server.points] == [i for i in range(30) if i not in (3, 17)]
    assert (writer.written, writer.rejected, writer.failures, writer.dropped) == (28, 5, 3, 0)


def test_without_a_server_the_end_is_bounded_and_counted(server):
    writer = write("http://127.0.0.1:9", [SensorEvent("s", 1, 1)], close_s=0.05)
    writer._thread.join(30)
    assert (writer.written, writer.dropped) == (0, 1) and writer.failures and isinstance(writer.last_error, OSError)


@pytest.mark.parametrize(
    ("url", "options"),
    [("ftp://x", {"database": "d"}), ("http://x", {}), ("http://x", {"database": "d", "bucket": "b"})],
)
def test_options_are_checked(url, options):
    with pytest.raises(ValueError, match=r"begins with|name a database"):
        InfluxWriter(url, **options)


PLAIN = st.text(st.characters(exclude_characters='\r\n\0\\"', codec="utf-8"), min_size=1, max_size=8)
NAMES = st.text(st.characters(exclude_characters="\r\n\0\\", codec="utf-8"), min_size=1, max_size=8)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
FIELDS = st.one_of(st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53), TEXTS)


TAGS = st.dictionaries(PLAIN, PLAIN, max_size=3)


@given(NAMES, TAGS, st.dictionaries(PLAIN, FIELDS, min_size=1), st.integers(0, 2**62))
def test_every_line_can_be_read_back(measurement, tags, fields, ts):
    line = format_line(measurement, tags, fields, ts)
    point = (measurement, tags, fields, ts)
    assert parse_lines(line + "\n" + line) == [point, point]


@pytest.fixture(scope="module")
def influx(tmp_path_factory):
    """A real InfluxDB 1, for the module."""
    with influxdb(tmp_path_factory.mktemp("influxdb")) as url:
        yield url


def ask(url, query):
    """The series that the server answers with."""
    with urllib.request.urlopen(f"{url}/query?" + urlencode({"db": "test", "epoch": "ms", "q": query})) as answer:
        return json.load(answer)["results"][0].get("series", [])


def test_the_real_server_keeps_every_kind_of_value_of_every_sensor(influx):
    """Also where one sensor has numbers, another texts: a field has one type there, and refuses the others."""
    values = [1, -2.5, True, 'say "hi" \\', "a,b = c", "two\nlines", "ünï", [1, "x"], {"x": 1, "y z": False, "x=": "t"}]
    events = [SensorEvent(f"s{i},=é {i}", 1_700_000_000_000 + i, val) for i, val in enumerate(values)]
    events += [
        SensorEvent("s0,=é 0", 1_700_000_001_000, "a text where a number was"),
        SensorEvent("x", 5, float("nan")),
    ]
    writer = write(influx, events, database="test", batch_events=4)
    assert (writer.written, writer.rejected, writer.failures) == (10, 1, 0), writer.last_error
    found = {}
    for series in ask(influx, "SELECT * FROM reading GROUP BY sensor"):
        for row in series["values"]:
            fields = dict(zip(series["columns"], row, strict=True))
            ts = fields.pop("time")
            found[series["tags"]["sensor"], ts] = {n: v for n, v in fields.items() if v is not None}
    for event in events[:-1]:
        got = found.pop((event.sensor_id, event.ts))
        val = event.val if isinstance(event.val, dict) else {"val": event.val}
        texts = {name: str(v) if isinstance(v, list) else v for name, v in val.items()}
        assert {name.removesuffix("_text").removesuffix("_bool"): v for name, v in got.items()} == texts
    assert not found


def test_the_real_server_reads_the_lines_as_we_do(influx, seed):
    """Names and texts of the characters that have a meaning somewhere: what comes back is what was written."""
    rng, wanted, lines = random.Random(seed), {}, []

    def text(letters, most=6):
        return "".join(rng.choice(letters) for _ in range(rng.randint(1, most)))

    while len(lines) < 300:
        names = text('ab ,=\\"é'), text("ab ,=\\"), text('ab ,=\\"'), text('ab ,=\\"')
        field = rng.choice([("n", rng.random()), ("b", True), ("t", text('ab ,=\\"\nü', 12))])
        point = (
            "m" + names[0] + "z",
            {"t" + names[1] + "z": "v" + names[2] + "z"},
            {field[0] + names[3] + "z": field[1]},
        )
        ts = len(lines) + 1
        try:
            lines.append(format_line(*point, ts))
        except ValueError:
            unsayable = re.search(r'\\[,= "]', names[0] + "z" + names[3]) or '"' in names[3]
            assert unsayable or ("\n" in str(field[1]) and '"' in names[2])
            continue
        wanted[ts] = point
    # A quote in a tag joins a line with the next for the server, which refuses both; the writer then sends each alone.
    writer = write(influx, lines, database="test", to_line=str)
    assert (writer.written, writer.rejected) == (300, 0), writer.last_error
    found = {}
    for series in ask(influx, "SELECT * FROM /^m/ WHERE time < 1000ms GROUP BY *"):
        for row in series["values"]:
            fields = {n: v for n, v in zip(series["columns"], row, strict=True) if v is not None}
            tags = {n: v for n, v in series["tags"].items() if v}
            found[fields.pop("time")] = (series["name"], tags, fields)
    for ts, point in wanted.items():
        assert found[ts] == point, lines[ts - 1]


@pytest.mark.parametrize("name", ["", "a\nb", "a\\", "a\0", "a\\,b", "a\\ b", "a\\=b", 'a\\"b'])
def test_a_name_that_the_protocol_cannot_say_is_refused(name):
    for measurement, field in ((name, "v"), ("m", name), ("m", 'a"b')):
        with pytest.raises(ValueError, match="not for InfluxDB"):
            format_line(measurement, {}, {field: 1}, 0)
