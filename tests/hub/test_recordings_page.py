"""What is recorded, as a person sees it on the hub's page and on the recorder's own, in a real browser."""

import array
import math
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import test_page
from page_fake import TOKEN, FakeHub, Served
from playwright.sync_api import Browser, Locator, Page, expect
from test_page import DESKTOP, LIMIT_MS, PHONE, Visit, overflow

from bourn.hub.recorder.backoff import Backoff
from bourn.hub.recorder.form import LINES, pcm
from bourn.hub.recorder.monitor import Monitor
from bourn.hub.recorder.recording import Recording, Settings
from bourn.hub.recorder.store import Failure
from bourn.hub.recorder.uploader import Rules
from bourn.hub.web.recorder_page import RecorderPage

RATE = 8000

browser = test_page.browser  # its fixture


class Store:
    """Takes what `open` lets through, and is slow in it; refuses while it is `away`."""

    url = "s3://bucket/forest"

    def __init__(self) -> None:
        self.away = False
        self.go_on = threading.Event()
        self.go_on.set()

    def upload(self, path: str, name: str, paced: Any, sha256: str, read_back: bool) -> None:
        if self.away:
            raise Failure("503 Service Unavailable", asked_s=300)
        paced(2000)
        self.go_on.wait(30)


class Singer:
    """Records a tone of 1 kHz on the left and of 3 kHz on the right, in blocks of a twentieth of a second."""

    def __init__(self, folder: Path, store: Store, seconds_a_file: int = 1) -> None:
        rules = Rules(".plain", backoff=Backoff(base_s=100.0, cap_s=100.0))
        settings = Settings("song", pcm(RATE, 2, 2), seconds_a_file * RATE, 2_000_000, rules=rules)
        self.recording = Recording(str(folder), settings, store)
        self.recording.start()
        self.left = 0.5
        self._at = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sing, daemon=True)
        self._thread.start()

    def _sing(self) -> None:
        begun = time.monotonic()
        while not self._stop.is_set():
            block = array.array("h")
            for n in range(self._at, self._at + RATE // 20):
                block.append(round(32767 * self.left * math.sin(2 * math.pi * 1000 * n / RATE)))
                block.append(round(3276 * math.sin(2 * math.pi * 3000 * n / RATE)))
            self._at += RATE // 20
            self.recording.recorder.write(block.tobytes())
            self._stop.wait(max(0.0, begun + self._at / RATE - time.monotonic()))

    def close(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join(10)
            self.recording.close()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def singer(tmp_path: Path, store: Store) -> Iterator[Singer]:
    expect.set_options(timeout=LIMIT_MS)
    singer = Singer(tmp_path / "hall", store)
    yield singer
    store.go_on.set()
    singer.close()


@pytest.fixture
def own_page(singer: Singer) -> Iterator[RecorderPage]:
    page = RecorderPage(Monitor([singer.recording.folder]), ("127.0.0.1", 0, None), TOKEN)
    yield page
    page.close()


def card(page: Page, key: str = "hall") -> Locator:
    return page.locator(".recording").filter(has=page.locator("h3", has_text=re.compile(f"^{key}$")))


def shown_levels(page: Page) -> list[list[float]]:
    """Peak and RMS of each channel, as they are written."""
    texts = card(page).locator(".meter-text").all_inner_texts()
    return [[float(one.replace("\N{MINUS SIGN}", "-")) for one in text.split("/")] for text in texts if "/" in text]


def loudest_row(page: Page) -> list[int]:
    """Where the spectrogram's newest column is brightest, and how bright, from the top."""
    return page.evaluate(
        """() => { const canvas = document.querySelector(".recording canvas");
        const { data } = canvas.getContext("2d").getImageData(canvas.width - 1, 0, 1, canvas.height);
        const bright = Array.from({ length: canvas.height }, (_, row) => data[row * 4] + data[row * 4 + 1]);
        const most = Math.max(...bright); return [bright.indexOf(most), most, canvas.height]; }"""
    )


def test_the_recorders_own_page_hears_what_is_recorded(
    browser: Browser, singer: Singer, own_page: RecorderPage
) -> None:
    visit = Visit(browser, own_page.url, DESKTOP)
    page = visit.page
    expect(page.locator("#page-state")).to_have_text("Live")
    expect(page).to_have_title("song · Bourn")
    expect(card(page).locator(".state")).to_have_text("recording")
    expect(card(page).locator(".recording-what")).to_have_text("song · 8 kHz · 2 channels · 16 bit")
    expect(card(page).locator(".meter")).to_have_count(2)
    page.wait_for_function("() => document.querySelector('.meter-text')?.textContent.includes('6.0 /')")
    (left, right) = shown_levels(page)
    assert left == [pytest.approx(-6.0, abs=0.3), pytest.approx(-9.0, abs=0.3)]
    assert right == [pytest.approx(-20.0, abs=0.3), pytest.approx(-23.0, abs=0.3)]
    row, brightness, rows = loudest_row(page)
    assert brightness > 250 and rows - 1 - row == pytest.approx(rows * 1000 / (RATE / 2), abs=1)  # 1 kHz of 4

    singer.left = 0.05
    page.wait_for_function("() => /^.2[56]\\.\\d \\//.test(document.querySelector('.meter-text').textContent)")
    expect(card(page).locator(".recording-facts")).to_contain_text("Lostnothing")
    expect(card(page).locator(".file-table tbody tr").first).to_be_visible()
    expect(card(page).locator('td[data-state="deleted"]').first).to_have_text("safely away")
    assert visit.complaints == []
    assert {url.partition("//")[2].partition("/")[0] for url in visit.requests} == {
        own_page.url.partition("//")[2].partition("/")[0]
    }
    visit.close()


def test_uploads_and_their_trouble_on_the_hubs_page(
    browser: Browser, singer: Singer, store: Store, tmp_path: Path
) -> None:
    store.go_on.clear()  # the first upload stays on its way
    hub = FakeHub()
    hub.read_all()
    with Served(hub, monitor=Monitor([singer.recording.folder, str(tmp_path / "nothing")])) as served:
        visit = Visit(browser, served.url, DESKTOP)
        page = visit.page
        expect(page.locator("#recording-count")).to_have_text("2")
        expect(card(page, "nothing")).to_contain_text("nobody has recorded here yet")
        here = card(page)
        expect(here.locator(".share-head").last).to_contain_text("s3://bucket/forest")
        expect(here.locator("progress")).to_be_visible()
        expect(here).to_contain_text(re.compile(r"song\..*\.wav: 2 kB of 32 kB"))
        expect(here.locator(".legend")).to_contain_text("being uploaded 1, 32 kB")
        bar = here.locator(".bar i.of-uploading")
        assert bar.evaluate("part => part.getBoundingClientRect().width") > 1

        store.away = True
        store.go_on.set()
        expect(here).to_contain_text(re.compile(r"next attempt in \d+ (s|min)"))
        expect(here.locator("p.bad")).to_have_text("503 Service Unavailable")
        expect(here.locator("progress")).to_be_hidden()
        expect(here).to_contain_text("1 failure in a row")
        assert page.locator("#page-state").inner_text() == "Live"

        singer.close()
        expect(here.locator(".state")).to_have_text("stopped")
        expect(here.locator(".meter-text").first).to_have_text("–")  # nothing is heard any more
        assert visit.complaints == []
        visit.close()


def test_nothing_is_asked_when_nobody_looks(
    browser: Browser, singer: Singer, own_page: RecorderPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = Visit(browser, own_page.url, DESKTOP)
    expect(card(visit.page).locator(".meter")).to_have_count(2)
    visit.close()
    looks: list[Any] = []
    monkeypatch.setattr(Monitor, "look", lambda *args: looks.append(args) or {"now": 0, "recordings": []})
    time.sleep(1.2)
    assert looks == []


def test_it_goes_away_and_comes_back(browser: Browser, singer: Singer, tmp_path: Path) -> None:
    first = RecorderPage(Monitor([singer.recording.folder]), ("127.0.0.1", 0, None), TOKEN)
    visit = Visit(browser, first.url, DESKTOP)
    page = visit.page
    expect(page.locator("#page-state")).to_have_text("Live")
    port = int(first.url.partition("/?")[0].rpartition(":")[2])
    first.close()
    expect(page.locator("#page-state")).to_have_text("Reconnecting…")
    again = RecorderPage(Monitor([singer.recording.folder]), ("127.0.0.1", port, None), TOKEN)
    try:
        expect(page.locator("#page-state")).to_have_text("Live")
        expect(page.locator("#recordings")).not_to_have_class(re.compile("unheard"))
    finally:
        again.close()
    other = RecorderPage(Monitor([singer.recording.folder]), ("127.0.0.1", port, None), "another-token")
    try:
        expect(page.locator("#page-state")).to_have_text("Open the URL that was printed")
    finally:
        other.close()
        visit.close()


def test_a_phone_needs_no_sideways_scrolling_and_lines_are_text(browser: Browser, tmp_path: Path) -> None:
    name = "a-folder-with-a-name-that-does-not-end-" + "x" * 80
    nasty = '<img src=x onerror="document.title=1">' + "y" * 200
    recording = Recording(str(tmp_path / name), Settings("n" * 64, LINES, 3), Store())
    recording.recorder.write(f'["m1",1,"{nasty}"]\n'.encode())
    recording.keeper.step()
    recording.start()
    recording.uploader.last_error = "e" * 300
    monitor = Monitor([recording.folder])
    page = RecorderPage(monitor, ("127.0.0.1", 0, None), TOKEN)
    expect.set_options(timeout=LIMIT_MS)
    visit = Visit(browser, page.url, PHONE, is_mobile=True, has_touch=True)
    try:
        expect(visit.page.locator(".newest-line")).to_contain_text("<img src=x")
        expect(visit.page.locator(".sound")).to_be_hidden()
        assert visit.page.locator(".files").get_attribute("open") is None  # on a phone they are folded away
        visit.page.locator(".files summary").click()
        expect(visit.page.locator(".file-table tbody tr")).to_have_count(1)
        assert overflow(visit.page) <= 0
        assert visit.page.locator("main img, main script").count() == 0
        assert visit.complaints == []
    finally:
        visit.close()
        page.close()
        recording.close()
