"""The page's server: who gets in, what comes out, and that it goes when it is told.

Every test asks a page that is really served, over a real socket.
"""

import asyncio
import contextlib
import errno
import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from page_fake import TOKEN, FakeHub, Served

from bourn.hub.web import app, guard, server
from bourn.hub.web.app import serve_page

BEARER = {"authorization": f"Bearer {TOKEN}"}
LIMIT_S = 10  # of any single answer; nothing here comes near it


@pytest.fixture
def hub() -> FakeHub:
    hub = FakeHub()
    hub.read_all(rounds=3)
    return hub


@pytest.fixture
def served(hub: FakeHub) -> Iterator[Served]:
    with Served(hub) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.origin, trust_env=False, timeout=LIMIT_S) as client:
        yield client


@pytest.fixture(scope="module")
def calm() -> Iterator[Served]:
    """A page that many tests ask and none changes."""
    with Served(FakeHub()) as served:
        yield served


@pytest.fixture
def visitor(calm: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=calm.origin, trust_env=False, timeout=LIMIT_S) as client:
        yield client


class Events:
    """The events of one stream, one by one."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()

    def next(self) -> tuple[str, str]:
        name, data = "message", []
        for line in self._lines:
            if line == "" and data:
                return name, "\n".join(data)
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
        raise EOFError

    def status(self) -> dict[str, Any]:
        while True:
            name, data = self.next()
            if name == "status":
                return json.loads(data)


@contextlib.contextmanager
def events(client: httpx.Client) -> Iterator[Events]:
    with client.stream("GET", "/api/events", headers=BEARER) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Events(response)


@contextlib.contextmanager
def deaf_client(served: Served) -> Iterator[None]:
    """Asks for the events, reads until the first of them has begun, and then no more."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT_S) as deaf:
        deaf.sendall(f"GET /api/events?token={TOKEN} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        taken = b""
        while b"event: status" not in taken:
            taken += deaf.recv(100)
        yield


def points(snapshot: dict[str, Any]) -> dict[str, list[int]]:
    return {sensor["sensor"]: [pos for pos, _, _ in sensor["points"]] for sensor in snapshot["sensors"]}


# ---- who gets in ----


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/static/none", "/api/status", "/api/events", "/nothing"])
@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%C3%A9", f"?token={TOKEN}x"])
def test_without_the_token_there_is_one_sentence(visitor: httpx.Client, path: str, query: str) -> None:
    response = visitor.get(path + query)
    assert response.status_code == 401
    assert response.text == guard.LOCKED
    assert TOKEN not in str(response.headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer"},
        {"authorization": f"Basic {TOKEN}"},
        {"cookie": f"bourn_1={TOKEN}"},
        {"cookie": f"bourn={TOKEN}"},
    ],
)
def test_other_keys_do_not_fit(visitor: httpx.Client, headers: dict[str, str]) -> None:
    assert visitor.get("/api/status", headers=headers).status_code == 401


def test_first_visit_leaves_a_cookie_and_takes_the_token_out_of_the_address(
    visitor: httpx.Client, calm: Served
) -> None:
    assert calm.url == f"http://127.0.0.1:{calm.port}/?token={TOKEN}"
    response = visitor.get(calm.url)
    assert response.status_code == 303
    assert response.headers["location"] == "/"
    cookie = response.headers["set-cookie"]
    assert cookie.startswith(f"bourn_{calm.port}={TOKEN};")
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    assert visitor.get("/").text.startswith("<!doctype html>")  # the client keeps the cookie
    assert visitor.get("/api/status").status_code == 200


def test_an_old_token_in_the_address_does_not_stay_there_either(visitor: httpx.Client, calm: Served) -> None:
    visitor.get(calm.url)
    assert visitor.get("/?token=of-yesterday").status_code == 303


def test_two_hubs_on_one_host_do_not_take_each_others_cookie(served: Served) -> None:
    with Served(FakeHub(), token="another") as other, httpx.Client(trust_env=False) as browser:
        for url in (served.url, other.url):
            browser.get(url)
        for origin in (served.origin, other.origin):
            assert browser.get(f"{origin}/api/status").status_code == 200


def test_the_api_takes_bearer_and_query_too(visitor: httpx.Client) -> None:
    assert visitor.get("/api/status", headers=BEARER).status_code == 200
    assert visitor.get("/api/status", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
    assert visitor.get(f"/api/status?token={TOKEN}").status_code == 200


def test_who_follows_the_url_from_another_site_is_asked_to_come_again(visitor: httpx.Client) -> None:
    response = visitor.get("/", headers={"sec-fetch-site": "cross-site"})
    assert (response.status_code, response.headers["refresh"]) == (401, "0; url=/")
    for site in ("same-origin", "none"):
        assert "refresh" not in visitor.get("/", headers={"sec-fetch-site": site}).headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:81", "localhost.", "[::1]:8080", "127.3.2.1"])
def test_loopback_names_are_the_hubs(visitor: httpx.Client, host: str) -> None:
    assert visitor.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "192.168.1.7", "", "localhost@evil.example", "[::1", "a b", "x:y"],
)
def test_other_names_are_not(visitor: httpx.Client, host: str) -> None:
    for path in ("/", "/healthz", "/api/status"):
        response = visitor.get(path, headers={"host": host, **BEARER})
        assert response.status_code == 400
        assert TOKEN not in response.text


def test_a_hub_bound_to_every_address_answers_to_addresses_but_not_to_foreign_names() -> None:
    bound = guard.Guard(app.make_app(FakeHub(), TOKEN), TOKEN, hosts=("0.0.0.0", "hub.example"))
    for name in ("192.168.1.7", "fe80::1", "hub.example", socket.gethostname().lower()):
        assert bound._is_own(name)
    assert not bound._is_own("evil.example")


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError):
        app.make_app(FakeHub(), "")


# ---- what comes out ----


def test_healthz_needs_no_token(visitor: httpx.Client) -> None:
    response = visitor.get("/healthz")
    assert (response.status_code, response.text) == (200, "ok")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("page.css", "text/css; charset=utf-8"),
        ("page.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_the_files_of_the_page(visitor: httpx.Client, name: str, kind: str) -> None:
    response = visitor.get(f"/static/{name}", headers=BEARER)
    assert (response.status_code, response.headers["content-type"]) == (200, kind)
    assert response.content


@pytest.mark.parametrize(
    "path", ["/static/", "/static", "/static/app.py", "/static/../app.py", "/static/%2e%2e%2fapp.py"]
)
def test_and_no_others(visitor: httpx.Client, path: str) -> None:
    response = visitor.get(path, headers=BEARER)
    assert response.status_code == 404


def test_the_page_has_no_inline_code_and_loads_nothing_from_elsewhere(visitor: httpx.Client) -> None:
    page = visitor.get("/", headers=BEARER).text
    for word in ("<style", "style=", "onclick", "onload", "javascript:", "http://", "https://"):
        assert word not in page
    own = visitor.get("/static/recorder.html", headers=BEARER).text
    for word in ("<style", "style=", "onclick", "onload", "javascript:", "http://", "https://"):
        assert word not in own
    scripts = set(re.findall(r"/static/(\w+\.js)", page + own))
    assert {"page.js", "parts.js", "recordings.js"} <= scripts
    for name in scripts:
        script = visitor.get(f"/static/{name}", headers=BEARER).text
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "https://"):
            assert word not in script, name


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/api/status", "/healthz", "/nothing"])
@pytest.mark.parametrize("headers", [BEARER, {}])
def test_every_answer_has_the_headers(visitor: httpx.Client, path: str, headers: dict[str, str]) -> None:
    given = visitor.get(path, headers=headers).headers
    policy = given["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert given["x-content-type-options"] == "nosniff"
    assert given["referrer-policy"] == "no-referrer"
    assert given["cache-control"] == "no-store"
    assert "server" not in given


def test_nothing_can_be_changed(visitor: httpx.Client) -> None:
    for path in ("/", "/api/status", "/api/events"):
        assert visitor.post(path, headers=BEARER).status_code == 405


def test_status_is_the_snapshot_as_json(client: httpx.Client, served: Served, hub: FakeHub) -> None:
    served.act(lambda: hub.read("s1", {"a": [1, None, "é\n"], "nan": float("nan")}))
    snapshot = client.get("/api/status", headers=BEARER).json()
    assert snapshot["journal"]["rows"] == 16
    assert snapshot["sensors"][0]["val"] == {"a": [1, None, "é\n"], "nan": None}  # a browser's parser knows no NaN
    assert points(snapshot)["s2"] == [2, 7, 12]


def test_a_stream_begins_with_everything_and_goes_on_with_what_is_new(
    client: httpx.Client, served: Served, hub: FakeHub
) -> None:
    with events(client) as stream:
        first = stream.status()
        assert points(first) == {f"s{n}": [n, n + 5, n + 10] for n in range(1, 6)}
        served.act(lambda: hub.read("s2", 77))
        second = stream.status()
        assert points(second) == {"s1": [], "s2": [16], "s3": [], "s4": [], "s5": []}
        assert second["sensors"][1]["val"] == 77
        with events(client) as late:  # has its own beginning
            assert points(late.status())["s2"] == [2, 7, 12, 16]
        served.act(lambda: hub.read("s2", 78))
        assert points(stream.status())["s2"] == [17]


def test_a_stream_says_nothing_while_nothing_changes(served: Served, hub: FakeHub) -> None:
    streams = app._Streams(hub, asyncio.Event(), 0.001)

    async def watch() -> None:
        stream = streams._events()
        await anext(stream)
        before = len(hub.calls)
        silence = asyncio.ensure_future(anext(stream))
        while len(hub.calls) < before + 5:
            hub.pass_ms(20)  # the clocks run: no news
            await asyncio.sleep(0)
        assert not silence.done()
        hub.snapshot["links"][0]["seen_ms"] = 0  # a link was heard: news
        hub.pass_ms(1000)
        assert json.loads((await silence).data)["links"][0]["seen_ms"] == 1000
        await stream.aclose()

    asyncio.run(watch())


def test_streams_are_bounded_and_a_place_comes_back(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_STREAMS", 2)
    with events(client) as one, events(client) as two:
        one.status()
        two.status()
        refused = client.get("/api/events", headers=BEARER)
        assert (refused.status_code, refused.text) == (503, app.FULL)
        assert client.get("/api/status", headers=BEARER).status_code == 200
    deadline = time.monotonic() + LIMIT_S
    while client.head("/api/events", headers=BEARER).status_code == 503:  # until the server notices that they left
        assert time.monotonic() < deadline
    with events(client) as again:
        again.status()


def test_a_snapshot_that_fails_is_reported_and_the_page_goes_on(
    client: httpx.Client, served: Served, hub: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    with events(client) as stream:
        stream.status()
        hub.broken = RuntimeError("no snapshot")
        with pytest.raises((EOFError, httpx.TransportError)):
            stream.status()
    answer = client.get(f"/api/status?token={TOKEN}")
    assert (answer.status_code, answer.text) == (500, guard.BROKEN)
    assert "the page could not answer '/api/status'" in caplog.text
    assert "no snapshot" in caplog.text
    assert TOKEN not in caplog.text
    hub.broken = None
    assert client.get("/api/status", headers=BEARER).status_code == 200


# ---- its life inside the hub ----


def test_close_ends_open_streams_at_once(served: Served) -> None:
    with contextlib.ExitStack() as stack:
        streams = []
        for _ in range(8):
            client = stack.enter_context(httpx.Client(base_url=served.origin, trust_env=False, timeout=LIMIT_S))
            client.get("/healthz")
            streams.append(stack.enter_context(events(client)))
            streams[-1].status()
        began = time.monotonic()
        served.run(served._page.close)
        assert time.monotonic() - began < 1
        assert served.tasks() == set()
        for stream in streams:
            with pytest.raises(EOFError):  # a proper end, not a broken connection
                stream.status()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT_S)


def test_the_last_event_is_the_hubs_last_word(hub: FakeHub) -> None:
    with contextlib.ExitStack() as stack:
        served = stack.enter_context(Served(hub, period_s=LIMIT_S))
        client = stack.enter_context(httpx.Client(base_url=served.origin, trust_env=False, timeout=LIMIT_S))
        stream = stack.enter_context(events(client))
        stream.status()
        served.act(lambda: hub.snapshot.update(state="stopping"))
        served.run(served._page.close)
        assert stream.status()["state"] == "stopping"
        with pytest.raises(EOFError):
            stream.status()


def test_close_does_not_wait_for_a_client_that_does_not_read(served: Served, hub: FakeHub) -> None:
    blob = "x" * 8_000_000  # more than the sockets' buffers hold
    served.act(lambda: hub.read("s1", blob))
    with deaf_client(served):
        began = time.monotonic()
        served.run(served._page.close)
        assert time.monotonic() - began < 1
        assert served.tasks() == set()


def test_a_client_that_does_not_read_loses_its_place(
    served: Served,
    hub: FakeHub,
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(app, "SEND_TIMEOUT_S", 0.05)
    monkeypatch.setattr(app, "MAX_STREAMS", 1)
    served.act(lambda: hub.read("s1", "x" * 8_000_000))
    with deaf_client(served):
        served.act(hub.read_all)  # the first event fills the buffers, the next one has to wait
        deadline = time.monotonic() + LIMIT_S
        while client.head("/api/events", headers=BEARER).status_code == 503:
            assert time.monotonic() < deadline
    assert caplog.text == ""


def test_connections_are_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT_S))
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert idle.recv(100).startswith(b"HTTP/1.1 200")
        beyond = stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=LIMIT_S))
        with contextlib.suppress(ConnectionResetError):
            assert beyond.recv(100) == b""


def test_signals_and_terminal_stay_the_hubs(capfd: pytest.CaptureFixture[str]) -> None:
    def handler(*_: object) -> None:
        raise AssertionError

    async def life() -> None:
        page = await serve_page(FakeHub(), "127.0.0.1", 0, TOKEN)
        assert [signal.getsignal(number) for number in numbers] == [handler, handler]
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(page.url)).status_code == 303
            assert (await client.get(f"{page.url.partition('?')[0]}api/status")).status_code == 200
        port = httpx.URL(page.url).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x00\xffgarbage\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()
        await page.close()
        await page.close()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handler) for number in numbers]
    try:
        asyncio.run(life())
    finally:
        for number, old in zip(numbers, before, strict=True):
            signal.signal(number, old)
    assert capfd.readouterr() == ("", "")


def test_a_taken_port_is_an_error_that_says_so(served: Served) -> None:
    with pytest.raises(OSError) as raised:
        asyncio.run(serve_page(FakeHub(), "127.0.0.1", served.port, TOKEN))
    assert raised.value.errno == errno.EADDRINUSE


def test_the_port_is_free_again_afterwards() -> None:
    with Served(FakeHub()) as first, httpx.Client(trust_env=False) as client:
        client.get(first.url)
        port = first.port
    with Served(FakeHub(), port=port) as second:
        assert second.port == port


def test_ipv6_and_every_address_have_a_url_that_works() -> None:
    async def url_of(host: str) -> str:
        page = await serve_page(FakeHub(), host, 0, "t/k")
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=LIMIT_S) as client:
                assert (await client.get(page.url)).status_code == 303
            return page.url
        finally:
            await page.close()

    assert asyncio.run(url_of("0.0.0.0")).startswith("http://127.0.0.1:")
    assert asyncio.run(url_of("localhost")).startswith("http://localhost:")
    if socket.has_ipv6:
        with contextlib.suppress(OSError):
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
            assert asyncio.run(url_of("::1")).startswith("http://[::1]:")
