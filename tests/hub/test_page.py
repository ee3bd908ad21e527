"""The page as a person sees it, in a real browser: Debian's Chromium without a window.

Nothing waits a fixed time: `expect` looks until it is so, or until its limit.
"""

import os
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from page_fake import START_MS, FakeHub, Served
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from bourn.hub.web import app

PHONE = {"width": 390, "height": 844}
SMALL_PHONE = {"width": 360, "height": 640}
DESKTOP = {"width": 1280, "height": 900}
MINUS = "\N{MINUS SIGN}"
VENDOR = Path(app.__file__).parent / "static" / "vendor" / "uplot.js"
LIMIT_MS = 15_000  # for anything to appear; a loaded machine needs a second

# The sandbox needs what a container does not give; the rest keeps the browser from talking to anybody by itself.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing = "chromium is not on PATH: the page's tests are left out (apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def hub() -> FakeHub:
    hub = FakeHub()
    hub.read_all(rounds=3)
    return hub


@pytest.fixture
def served(hub: FakeHub) -> Iterator[Served]:
    with Served(hub) as served:
        yield served


class Visit:
    """A page opened as a person would, and what it asked for and complained about."""

    def __init__(self, browser: Browser, url: str, size: dict[str, int], **options: Any) -> None:
        self._context = browser.new_context(viewport=size, **options)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page = self._context.new_page()
        self.page.set_default_timeout(LIMIT_MS)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def close(self) -> None:
        self._context.close()


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Visit]:
    expect.set_options(timeout=LIMIT_MS)
    visit = Visit(browser, served.url, DESKTOP)
    expect(visit.page.locator("#page-state")).to_have_text("Live")
    yield visit
    visit.close()


def card(page: Page, name: str) -> Locator:
    return page.locator(".sensor").filter(has=page.locator("h3", has_text=re.compile(f"^{re.escape(name)}$")))


def cells(page: Page, source: str) -> list[str]:
    row = page.locator("#link-rows tr").filter(has=page.locator("td", has_text=re.compile(f"^{re.escape(source)}$")))
    return row.locator("td").all_inner_texts()


def shown(val: int) -> str:
    return str(val).replace("-", MINUS)


def line(page: Page, name: str) -> str:
    return card(page, name).locator("path.line").get_attribute("d") or ""


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def test_five_sensors_with_live_values_and_growing_charts(visit: Visit, served: Served, hub: FakeHub) -> None:
    page = visit.page
    expect(page.locator(".sensor")).to_have_count(5)
    expect(page.locator(".sensor h3")).to_have_text(["s1", "s2", "s3", "s4", "s5"])
    expect(page.locator(".badge")).to_have_text(["CPython", "CPython", "MicroPython", "CPython", "CPython"])
    for sensor in hub.snapshot["sensors"]:
        expect(card(page, sensor["sensor"]).locator(".value")).to_have_text(shown(sensor["val"]))
        expect(card(page, sensor["sensor"])).to_be_visible()
        assert line(page, sensor["sensor"]).count("L") == 2  # three points
    kept = page.locator("path.line").first.element_handle()

    served.act(hub.read_all)
    for sensor in hub.snapshot["sensors"]:
        expect(card(page, sensor["sensor"]).locator(".value")).to_have_text(shown(sensor["val"]))
        expect(card(page, sensor["sensor"]).locator("path.line")).to_have_attribute("d", re.compile("(L.*){3}"))
        assert line(page, sensor["sensor"]).count("L") == 3
    assert kept.evaluate("path => path.isConnected && path === document.querySelector('path.line')")

    served.act(lambda: [hub.read("s1", val) for val in (-1000, 500, 1500)])
    expect(card(page, "s1").locator(".range")).to_have_text(f"1,500{MINUS}1,000")
    expect(card(page, "s1").locator("svg")).to_have_attribute("aria-label", re.compile(f"from {MINUS}1,000 to 1,500"))
    assert visit.complaints == []


def test_a_chart_shows_the_newest_readings_only(visit: Visit, served: Served, hub: FakeHub) -> None:
    served.act(lambda: hub.read_all(rounds=400))
    expect(visit.page.locator("#rows")).to_have_text("2,015")
    expect(card(visit.page, "s5").locator(".value")).to_have_text(shown(hub.snapshot["sensors"][4]["val"]))
    points = line(visit.page, "s5").split("L")
    assert len(points) == 90
    assert points[0].startswith("M0.00 ")
    assert points[-1].startswith("100.00 ")


def test_key_figures(visit: Visit, served: Served, hub: FakeHub) -> None:
    page = visit.page
    expect(page.locator("#name")).to_have_text("bourn.db")
    expect(page.locator("#state")).to_have_text("Running")
    expect(page.locator("#uptime")).to_contain_text("up")
    expect(page.locator("#slots i")).to_have_count(5)

    def work() -> None:
        hub.snapshot["journal"].update(rows=12847, rate=10.1, commit_ms=2.345)
        hub.snapshot["network"].update(in_flight=3, peak=5)

    served.act(work)
    expect(page.locator("#rows")).to_have_text("12,847")
    expect(page.locator("#rate")).to_have_text("10.1")
    expect(page.locator("#commit")).to_have_text("2.3")
    expect(page.locator("#in-flight")).to_have_text("3")
    expect(page.locator("#in-flight-of")).to_have_text("of 5")
    expect(page.locator("#slots i.taken")).to_have_count(3)
    expect(page.locator("#peak")).to_have_text("peak 5")

    served.act(lambda: hub.snapshot["network"].update(limit=None, peak=None, in_flight=7))
    expect(page.locator("#in-flight")).to_have_text("7")
    expect(page.locator("#slots i")).to_have_count(0)
    served.act(lambda: hub.snapshot.update(state="stopping"))
    expect(page.locator("#state")).to_have_text("Stopping")
    assert visit.complaints == []


def test_links(visit: Visit, served: Served, hub: FakeHub) -> None:
    page = visit.page
    expect(page.locator("#link-rows tr")).to_have_count(5)

    def trouble() -> None:
        hub.snapshot["links"][2].update(in_flight=2, acked=1234, duplicates=4, backlog=12, dropped=3, links=3)
        hub.snapshot["links"][3].update(state="down", seen_ms=90_000, last_error="connection reset by peer")

    served.act(trouble)
    expect(page.locator("#link-count")).to_have_text("4 of 5 up")
    row = ["s3", "up", "micropython 1.29.0", "127.0.0.1:51236", "2 of 5", "1,234", "2", "12", "4", "3", "2"]
    assert cells(page, "s3")[:11] == row
    down = cells(page, "s4")
    assert (down[1], down[12]) == ("down", "connection reset by peer")
    assert re.fullmatch(r"9\d s ago", down[11])
    expect(card(page, "s4")).to_have_class(re.compile("down"))


def test_repositories_and_errors(visit: Visit, served: Served, hub: FakeHub) -> None:
    page = visit.page
    expect(page.locator("#no-errors")).to_have_text("No errors")
    expect(page.locator("#error-count")).to_have_text("0")
    expect(page.locator("#repositories li")).to_have_count(1)

    def trouble() -> None:
        hub.error("link 127.0.0.1:5555", "refused: a frame of 1073741828 bytes; 8 to 65536 are allowed")
        hub.pass_ms(2000)
        hub.error("repository csv:bourn.csv", "disk full")
        hub.snapshot["counters"]["refused"] = {"too_long": 1}
        hub.snapshot["repositories"][0].update(state="retrying", lag=1520, last_error="disk full")
        hub.snapshot["journal"]["last_error"] = "database or disk is full"

    served.act(trouble)
    expect(page.locator("#error-count")).to_have_text("2")
    expect(page.locator("#no-errors")).to_be_hidden()
    expect(page.locator("#errors li p")).to_have_text(
        ["disk full", "refused: a frame of 1073741828 bytes; 8 to 65536 are allowed"]
    )
    expect(page.locator("#refused")).to_have_text("Refused: too_long 1")
    expect(page.locator("#repositories li")).to_contain_text("1,520 readings behind · 2 per second · disk full")
    expect(page.locator("#alert")).to_contain_text("The journal cannot store: database or disk is full")
    served.act(lambda: hub.snapshot["journal"].update(last_error=None))
    expect(page.locator("#alert")).to_be_hidden()


def test_values_that_are_no_numbers(visit: Visit, served: Served, hub: FakeHub) -> None:
    page = visit.page
    value = {"lat": 52.5, "fix": True, "sats": [3, None]}

    def read() -> None:
        hub.read("s1", value, "gps")
        hub.read("s1", "open", "door")
        hub.read("s1", 2**53 + 1, "exact")
        hub.read("s1", 0.00001234, "tiny")
        hub.read("s1", "y" * 5000, "long")

    served.act(read)
    expect(card(page, "gps").locator(".value")).to_have_text('{ "lat": 52.5, "fix": true, "sats": [ 3, null ] }')
    expect(card(page, "gps").locator(".chart")).to_be_hidden()
    expect(card(page, "gps").locator(".badge")).to_have_text("CPython")
    expect(card(page, "door").locator(".value")).to_have_text('"open"')
    expect(card(page, "exact").locator(".value")).to_have_text("9,007,199,254,740,993")
    expect(card(page, "tiny").locator(".value")).to_have_text(f"1.234e{MINUS}5")
    assert len(card(page, "long").locator(".value").inner_text()) < 500
    assert visit.complaints == []


def test_names_from_the_network_are_text(visit: Visit, served: Served, hub: FakeHub) -> None:
    page = visit.page
    nasty = '<img src=x onerror="document.title=1"><script>document.title=1</script>&amp;'

    def attack() -> None:
        hub.link(nasty, runtime=nasty, peer=nasty)["last_error"] = nasty
        hub.read(nasty, nasty)
        hub.read(nasty, 1, "__proto__")
        hub.error(nasty, nasty)
        hub.snapshot["repositories"][0].update(name=nasty, last_error=nasty)
        hub.snapshot["counters"]["refused"] = {nasty: 1}
        hub.snapshot.update(name=nasty)

    served.act(attack)
    expect(page.locator(".sensor h3", has_text="onerror")).to_have_text(nasty)
    expect(page.locator("#link-rows tr").last.locator("td").first).to_have_text(nasty)
    expect(page.locator("#errors li p")).to_have_text(nasty)
    expect(card(page, "__proto__").locator(".value")).to_have_text("1")
    expect(page).to_have_title(f"{nasty} · Bourn")
    assert page.locator("main img, main script").count() == 0
    assert visit.complaints == []


@pytest.mark.parametrize("size", [PHONE, SMALL_PHONE])
def test_a_phone_needs_no_sideways_scrolling(
    browser: Browser, served: Served, hub: FakeHub, size: dict[str, int]
) -> None:
    def crowd() -> None:
        hub.link("a-source-with-a-name-that-does-not-end-" + "x" * 60, runtime="micropython 1.29.0 on something long")
        hub.read("s1", {"k" * 200: 1}, "n" * 200)
        hub.read("s1", -123456789.123, "wide")
        hub.error("link " + "9" * 100, "e" * 300)
        hub.snapshot["links"][1].update(acked=1_234_567_890, last_error="e" * 200)
        hub.snapshot["repositories"][0].update(name="postgresql://" + "h" * 100, last_error="e" * 200)
        hub.snapshot["journal"].update(rows=1_234_567_890, rate=123456.7, path="/var/lib/" + "d" * 100)

    served.act(crowd)
    visit = Visit(browser, served.url, size, is_mobile=True, has_touch=True)
    try:
        expect(visit.page.locator(".sensor")).to_have_count(7)
        expect(visit.page.locator("#link-rows tr")).to_have_count(6)
        assert overflow(visit.page) <= 0
        for part in (".sensor", "#link-rows tr", ".figure"):
            for box in [one.bounding_box() for one in visit.page.locator(part).all()]:
                assert box is not None
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= size["width"]
        assert visit.complaints == []
    finally:
        visit.close()


def test_an_empty_hub_says_what_to_do(browser: Browser) -> None:
    with Served(FakeHub(sensors=0)) as empty:
        visit = Visit(browser, empty.url, DESKTOP)
        expect(visit.page.locator("#no-sensors")).to_contain_text("bourn sensors")
        expect(visit.page.locator("#no-links")).to_be_visible()
        expect(visit.page.locator("#links")).to_be_hidden()
        assert visit.complaints == []
        visit.close()


def test_nothing_is_asked_of_anyone_else_and_the_token_is_gone_from_the_address(visit: Visit, served: Served) -> None:
    assert visit.page.url == f"{served.origin}/"
    assert visit.page.evaluate("history.length") <= 2  # the blank page and this one
    assert {request.partition("//")[2].partition("/")[0] for request in visit.requests} == {
        served.origin.partition("//")[2]
    }
    assert [request for request in visit.requests[1:] if "token" in request] == []
    assert visit.complaints == []


def test_the_hub_goes_and_comes_back(browser: Browser, hub: FakeHub) -> None:
    expect.set_options(timeout=LIMIT_MS)
    with Served(hub) as first:
        visit = Visit(browser, first.url, DESKTOP)
        page = visit.page
        expect(page.locator("#page-state")).to_have_text("Live")
        port = first.port
    expect(page.locator("#page-state")).to_have_text("Reconnecting…")
    expect(page.locator("body")).to_have_class("stale")
    expect(page.locator("#state")).to_have_text("No answer")
    expect(page.locator("#uptime")).to_contain_text("last heard")
    expect(card(page, "s1")).to_be_visible()  # the last values stay, greyed

    hub.read("s1", 4711)
    with Served(hub, port=port):
        expect(page.locator("#page-state")).to_have_text("Live")
        expect(page.locator("body")).not_to_have_class("stale")
        expect(page.locator("#state")).to_have_text("Running")
        expect(card(page, "s1").locator(".value")).to_have_text("4,711")
        assert line(page, "s1").count("L") == 3  # the chart was begun anew, nothing stands there twice
    with Served(hub, port=port, token="another"):
        expect(page.locator("#page-state")).to_have_text("Open the URL that the hub printed")
    visit.close()


def test_the_url_can_be_followed_from_another_site(browser: Browser, served: Served) -> None:
    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(f'<a href="{served.url}">the page</a>'.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        visit = Visit(browser, f"http://localhost:{site.server_port}/", DESKTOP)  # not the same site as 127.0.0.1
        visit.page.get_by_role("link").click()
        expect(visit.page.locator("#page-state")).to_have_text("Live")
        assert visit.page.url == f"{served.origin}/"
        visit.close()
        site.shutdown()


def test_fifty_sensors_stay_smooth(browser: Browser) -> None:
    hub = FakeHub(sensors=50)
    hub.read_all(rounds=100)
    with Served(hub) as served:
        visit = Visit(browser, served.url, DESKTOP)
        page = visit.page
        expect(page.locator(".sensor")).to_have_count(50)
        page.evaluate(
            """() => {
                window.built = 0;
                new MutationObserver((changes) => {
                    const added = changes.flatMap((change) => [...change.addedNodes]);
                    window.built += added.filter((node) => node.nodeType === Node.ELEMENT_NODE).length;
                }).observe(document.body, { childList: true, subtree: true });
            }"""
        )
        for _ in range(10):
            served.act(hub.read_all)
            expect(page.locator("#rows")).to_have_text(f"{hub.snapshot['journal']['rows']:,}")
        assert page.evaluate("window.built") == 0  # ten rounds of readings, and not one element was made
        assert visit.complaints == []
        visit.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(browser: Browser, served: Served, hub: FakeHub, scheme: Any) -> None:
    served.act(lambda: hub.error("link", "refused"))
    visit = Visit(browser, served.url, DESKTOP, color_scheme=scheme)
    page = visit.page
    expect(page.locator("#page-state")).to_have_text("Live")
    script = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
    for part in (
        "h1",
        ".soft",
        ".pill",
        ".figure dt",
        ".note",
        ".badge",
        ".value",
        ".sensor-foot",
        ".range",
        "th",
        "td",
    ):
        for one in page.locator(part).all()[:5]:
            assert one.evaluate(script) >= 4.5, part
    visit.close()


def test_where_readings_go(visit: Visit, served: Served, hub: FakeHub) -> None:
    page = visit.page
    expect(page.locator("#stage-links .node-name")).to_have_text(["s1", "s2", "s3", "s4", "s5"])
    expect(page.locator("#stage-repositories .node")).to_have_text("csv:bourn.csv2/s · up to date")
    expect(page.locator("#wires path")).to_have_count(11)  # five sensors, five links, one repository
    expect(page.locator("#wires path.flows")).to_have_count(10)  # the fake's journal stores nothing

    def trouble() -> None:
        hub.snapshot["links"][1].update(state="down", rate=0.0, last_error="connection reset", links=3)
        hub.snapshot["links"][2].update(backlog=1200, dropped=7)
        hub.snapshot["repositories"][0].update(state="retrying", lag=44, retries=2, last_error="disk full")

    served.act(trouble)
    expect(page.locator("#stage-links .node").nth(1)).to_have_text(
        "s20/s · 0 of 5 in flight · 2 retriesconnection reset"
    )
    expect(page.locator("#stage-links .node").nth(2)).to_contain_text("1,200 waiting · 7 dropped")
    expect(page.locator("#stage-repositories .node")).to_contain_text("44 behind · 2 retriesdisk full")
    expect(page.locator("#wires path.down")).to_have_count(2)
    assert visit.complaints == []


def test_brokers_stand_between_sensors_and_their_links(visit: Visit, served: Served, hub: FakeHub) -> None:
    page = visit.page
    expect(page.locator("#brokers")).to_be_hidden()
    expect(page.locator("#stage-sensors .node-name")).to_have_text(["s1", "s2", "s3", "s4", "s5"])
    rows: list[dict[str, Any]] = []

    def heard() -> None:
        rows.append(hub.broker(sources=2))
        hub.link("oven10", "JSON", "mqtt+json://broker/x")
        hub.read("oven10", 21, "t")
        rows.append(hub.broker("mqtt+json://broker/x"))

    served.act(heard)
    expect(page.locator("#stage-sensors .node-name").last).to_have_text("oven10/t")
    expect(page.locator("#stage-brokers .node:not(.passes) .node-name")).to_have_text(
        ["mqtt://127.0.0.1:1883/bourn", "mqtt+json://broker/x"]
    )
    expect(page.locator("#stage-brokers .node").nth(5)).to_have_text(
        "mqtt://127.0.0.1:1883/bourn3 messages/s · 2 sources"
    )
    # Five sensors and three through brokers: each to its link or broker, three from brokers, eight links, a repository.
    expect(page.locator("#wires path")).to_have_count(8 + 3 + 8 + 1)
    expect(page.locator("#wires path.down")).to_have_count(0)

    def trouble() -> None:
        rows[1].update(state="down", last_error="the broker is not reached: Connection refused", rate=0.0)
        rows[1]["counters"].update(garbage=12, messages=99)
        hub.snapshot["links"][-1].update(state="down", rate=0.0, last_error="the broker is gone")

    served.act(trouble)
    box = page.locator("#stage-brokers .node").last
    expect(box).to_have_text(
        "mqtt+json://broker/x0 messages/s · 0 sources · 12 garbagethe broker is not reached: Connection refused"
    )
    expect(box.locator(".node-name")).to_have_attribute("data-state", "down")
    expect(page.locator("#wires path.down")).to_have_count(3)  # to it, from it, and from the link on
    assert visit.complaints == []


def width(bar: Locator) -> float:
    return float(bar.evaluate("one => parseFloat(one.style.width)"))


def test_how_full_the_journal_is(visit: Visit, served: Served, hub: FakeHub) -> None:
    page, space = visit.page, hub.snapshot["journal"]["space"]
    expect(page.locator("#space-state")).to_have_text("There is room")
    expect(page.locator("#space-share")).to_have_text("< 1 %")
    served.act(lambda: space.update(bytes=6_000_000_000, disk_free=120_000_000, state="low"))
    expect(page.locator("#space-state")).to_have_text("Nearly full")
    expect(page.locator("#space-share")).to_have_text("75 %")
    expect(page.locator("#space-note")).to_have_text("6 GB of 8 GB used, and 120 MB left on the disk")
    assert width(page.locator("#space-bar .used")) == 75
    assert width(page.locator("#space-bar .missing")) == 23.5  # what the disk does not have
    assert width(page.locator("#stage-journal .bar .used")) == 75
    expect(page.locator("#stage-journal .node")).to_have_attribute("title", "bourn.db: 75 % of its room used")
    served.act(lambda: space.update(bytes=4_000_000_000, disk_free=0, state="disk_full"))
    expect(page.locator("#space-state")).to_have_text("The disk is full: nothing is acknowledged")
    expect(page.locator("#space-note")).to_have_text("4 GB of 8 GB used, nothing left on the disk")

    def full() -> None:
        hub.pass_ms(3 * 86_400_000)
        space.update(bytes=8_000_000_000, disk_free=9_000_000_000, state="dropping", when_full="drop_oldest")
        space.update(dropped=1234, dropped_for={"csv:bourn.csv": 99}, keep_s=86400.0)

    served.act(full)
    expect(page.locator("#space-state")).to_have_text("Full: the oldest readings make room")
    for fact in (
        "Oldest reading3 days old",
        "Free on its disk9 GB",
        "Dropped for room1,234",
        "Before csv:bourn.csv had them99",
    ):
        expect(page.locator("#journal .fact", has_text=re.compile("^" + fact[:9]))).to_have_text(fact)
    assert visit.complaints == []


def test_a_repository_that_catches_up_shows_how_far_it_is(visit: Visit, served: Served, hub: FakeHub) -> None:
    page, one = visit.page, hub.snapshot["repositories"][0]
    expect(page.locator("#repositories .bar")).to_have_count(0)
    served.act(lambda: one.update(lag=600_000, progress=0.4, left_s=150, rate=4000.0))
    expect(page.locator("#repositories li")).to_contain_text("600,000 readings behind · 40 % caught up, 2 min left")
    expect(page.locator("#stage-repositories .node")).to_contain_text("600,000 behind · 40 % caught up, 2 min left")
    assert width(page.locator("#repositories .bar i")) == width(page.locator("#stage-repositories .bar i")) == 40
    served.act(lambda: one.update(lag=0, progress=None, left_s=None))
    expect(page.locator("#repositories .bar")).to_be_hidden()
    expect(page.locator("#stage-repositories .bar")).to_be_hidden()
    assert visit.complaints == []


def test_names_with_numbers_are_in_the_order_of_their_numbers(visit: Visit, served: Served, hub: FakeHub) -> None:
    def more() -> None:
        for name in ("s10", "s9", "s11"):
            hub.link(name)
            hub.read(name, 1)
        hub.read("s1", 1, "t2")
        hub.read("s1", 1, "t10")

    served.act(more)
    expect(visit.page.locator(".sensor h3")).to_have_text(
        ["s1", "t2", "t10", "s2", "s3", "s4", "s5", "s9", "s10", "s11"]
    )


def history(route: Any, readings: int = 100, gap: bool = True) -> None:
    """Answers as the hub's /api/history does."""
    points = [[START_MS + i * 1000 + (600_000 if gap and i > 50 else 0), i - 1, i, i + 1] for i in range(readings)]
    told = {"from": START_MS, "to": START_MS + 800_000, "bucket_ms": 1000, "sampled": False, "readings": 300}
    route.fulfill(json={**told, "source": "s2", "sensor": "s2", "points": points})


@pytest.mark.parametrize("library", [True, False])
def test_the_history_of_a_sensor_by_keyboard(browser: Browser, served: Served, library: bool) -> None:
    there = VENDOR.exists()
    if library and not there and os.environ.get("CI") == "true" and shutil.which("npm"):
        pytest.fail("the chart library is not there: pip install -e . fetches it with npm")
    if library and not there:
        pytest.skip("the chart library is not there: no npm, or no network, when this was installed")
    visit = Visit(browser, served.url, DESKTOP)
    page = visit.page
    asked: list[str] = []
    page.route("**/api/history?*", lambda route: (asked.append(route.request.url), history(route)))
    expect(page.locator("#page-state")).to_have_text("Live")
    if not library:
        page.evaluate("document.body.dataset.library = 'no'")
    card(page, "s2").locator("button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_visible()
    expect(page.locator("#detail-name")).to_have_text("s2")
    expect(page.locator("#detail-note")).to_contain_text(f"300 readings, lowest {MINUS}1, highest 100")
    if library:
        expect(page.locator("#detail-chart canvas")).to_be_visible()
        expect(page.locator("#detail-chart .u-legend")).to_contain_text("Mean")
    else:
        expect(page.locator("#detail-chart path.line")).to_have_attribute("d", re.compile(r"^M.*L"))
        expect(page.locator("#detail-chart canvas")).to_have_count(0)
    assert "source=s2&sensor=s2" in asked[0] and "from=" in asked[0]
    page.get_by_role("button", name="All").click()
    expect(page.get_by_role("button", name="All")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("() => !document.getElementById('detail-note').textContent.startsWith('Reading')")
    assert "from=" not in asked[-1]
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    assert page.evaluate("document.activeElement.textContent") == "s2", "the focus is where it was"
    assert {url.partition("//")[2].partition("/")[0] for url in visit.requests} == {served.origin.partition("//")[2]}
    assert visit.complaints == []
    visit.close()


def test_a_thousand_sensors_can_be_searched_and_only_what_is_seen_is_drawn(browser: Browser) -> None:
    hub = FakeHub(sensors=1000)
    hub.read_all(rounds=2)
    hub.snapshot["links"][777].update(state="down", last_error="connection reset")
    with Served(hub) as served:
        visit = Visit(browser, served.url, DESKTOP)
        page = visit.page
        expect(page.locator("#sensor-count")).to_have_text("1,000")
        expect(page.locator("#stage-links .node")).to_have_count(8)
        expect(page.locator("#stage-links .node").first).to_contain_text("s778")  # what is in trouble comes first
        expect(page.locator("#stage-links .node").last).to_contain_text("993 more")
        far = card(page, "s1000")
        before = far.locator("path.line").get_attribute("d")
        served.act(hub.read_all)
        expect(page.locator("#rows")).to_have_text("3,000")
        expect(card(page, "s1").locator("path.line")).to_have_attribute("d", re.compile("L.*L"))
        assert far.locator("path.line").get_attribute("d") == before, "nobody sees it"
        far.scroll_into_view_if_needed()
        expect(far.locator("path.line")).to_have_attribute("d", re.compile("L.*L"))

        page.keyboard.press("/")
        page.keyboard.type("S99")
        expect(page.locator("#filter-note")).to_have_text("11 of 1,000 sensors")  # s99, s990 ... s999
        expect(page.locator(".sensor:visible")).to_have_count(11)
        expect(page.locator("#link-rows tr:visible")).to_have_count(11)
        page.locator("#filter").fill("")
        page.get_by_label("only what is down or in trouble").check()
        expect(page.locator(".sensor:visible h3")).to_have_text("s778")
        assert visit.complaints == []
        visit.close()
