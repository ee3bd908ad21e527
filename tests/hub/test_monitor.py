"""What an operator sees of a folder of recordings, from another place than the process that records."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from recordings import source_bytes

from bourn.hub.recorder.backoff import Backoff
from bourn.hub.recorder.form import LINES, pcm, raw
from bourn.hub.recorder.keeper import Limits
from bourn.hub.recorder.monitor import Monitor, UnknownRecording, _brief_error
from bourn.hub.recorder.recording import Recording, Settings, ask
from bourn.hub.recorder.store import Failure
from bourn.hub.recorder.uploader import Rules
from bourn.hub.web.recorder_page import RecorderPage

ROOT = Path(__file__).resolve().parents[2]
SOUND = pcm(1000, 1, 2)  # a column is 100 frames
TOKEN = "a-token-of-the-tests"


class Away:
    """A store that refuses."""

    url = "s3://bucket/p"

    def __init__(self, failure=None):
        self.failure = failure or Failure("the network is down")

    def upload(self, *_):
        raise self.failure


@pytest.fixture
def opened(tmp_path):
    """Opens recordings in folders below tmp_path, and ends them."""
    made = []

    def open_(name="hall", form=SOUND, frames=250, store=None, **more):
        made.append(Recording(str(tmp_path / name), Settings(name, form, frames, **more), store))
        return made[-1]

    yield open_
    for one in made:
        if not one._lock.closed:
            one.close()


def look(monitor, key="hall", after=-1):
    """The recording as it is now: the pause between two looks is over."""
    monitor._next = 0
    return next(one for one in monitor.look({key: after})["recordings"] if one["key"] == key)


def until(condition, what):
    end = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return found


def test_sound_is_heard_while_it_is_recorded_and_over_the_ends_of_files(opened, tmp_path, seed):
    recording = opened()
    monitor = Monitor([recording.folder])
    data = source_bytes(0, 3000, 2, seed)
    heard = []
    for first in range(0, 3000, 130):
        recording.recorder.write(data[first * 2 : (first + 130) * 2])
        recording.keeper.step()
        sound = look(monitor, after=heard[-1][0] if heard else -1)["sound"]
        heard += sound["columns"]
    assert sound["column_s"] == 0.1 and sound["top_hz"] == 500
    assert [one[0] for one in heard] == list(range(heard[-1][0] + 1)) and heard[-1][0] >= 28, "none is missing or twice"
    from bourn.hub.recorder.meter import block_of, levels, spectrum

    for number, peaks, means, lines in heard:  # and each is of its own frames
        block = block_of(data[number * 200 : number * 200 + 200], SOUND)
        assert (peaks, means) == levels(block) and lines == spectrum(block)
    monitor.close()


def test_a_late_looker_sees_the_newest_and_a_new_recording_begins_anew(opened, tmp_path):
    recording = opened(frames=100_000)
    recording.recorder.write(bytes(2 * 50_000))
    recording.keeper.step()
    monitor = Monitor([recording.folder])
    columns = look(monitor)["sound"]["columns"]
    assert [one[0] for one in columns] == list(range(400, 500))
    assert look(monitor, after=499)["sound"]["columns"] == []
    assert len(look(monitor, after=10_000)["sound"]["columns"]) == 100  # it was another one that the asker has seen
    assert look(monitor, after=None)["sound"] is None
    recording.close()
    (tmp_path / "hall" / "catalogue.db").rename(tmp_path / "old.db")
    for name in os.listdir(tmp_path / "hall"):
        os.unlink(tmp_path / "hall" / name)
    again = opened(frames=100_000)
    again.recorder.write(bytes(2 * 1000))
    again.keeper.step()
    assert [one[0] for one in look(monitor)["sound"]["columns"]] == list(range(10))


def test_states_disk_uploads_and_what_went_wrong(opened, seed):
    store = Away()
    rules = Rules(".plain", backoff=Backoff(base_s=1000.0, cap_s=1000.0))
    recording = opened(form=raw(4), store=store, max_bytes=1_000_000, rules=rules)
    monitor = Monitor([recording.folder])
    recording.start()
    recording.recorder.write(source_bytes(0, 1100, 4, seed))
    seen = until(lambda: (one := look(monitor))["uploads"]["failures_in_a_row"] and one, "a failure")
    assert (seen["state"], seen["running"], seen["pid"]) == ("recording", True, os.getpid())
    assert seen["form"]["kind"] == "raw" and seen["level"] is None and seen["sound"] is None
    assert seen["part"]["bytes"] == 400 and seen["states"]["recording"] == {"files": 1, "bytes": 400}
    until(lambda: look(monitor)["states"].get("archived", {}).get("files") == 4, "packed")
    seen = look(monitor)
    assert seen["disk"]["used"] == 4400 and seen["disk"]["limit"] == 1_000_000 and seen["disk"]["free"] > 0
    uploads = seen["uploads"]
    assert uploads["to"] == "s3://bucket/p" and uploads["backlog"] == {"files": 4, "bytes": 4000}
    assert uploads["error"] == "the network is down" and uploads["next_at"] > time.time() * 1000
    assert [(one["first"], one["end"]) for one in seen["recent"]][:2] == [(1000, None), (750, 1000)]
    assert seen["alarms"] == []
    recording.recorder.skip(50, "overflow")
    recording.recorder.write(bytes(4))
    until(lambda: look(monitor)["gaps"] == 1 and look(monitor)["lost"] == 50, "the gap")
    recording.close()
    seen = look(monitor)
    assert (seen["state"], seen["running"], seen["frames"]) == ("stopped", False, 1101)
    monitor.close()


def test_a_refusal_that_lasts_parked_files_and_lost_frames_are_alarms(opened):
    refused = Away(Failure("403 Forbidden", permanent=True))
    recording = opened(form=raw(4), store=refused, rules=Rules(".plain", give_up_after=1))
    monitor = Monitor([recording.folder])
    recording.start()
    recording.recorder.write(bytes(4 * 250))
    until(lambda: "parked" in look(monitor)["states"], "parked")
    seen = look(monitor)
    assert seen["state"] == "alarm"
    texts = " ".join(one["text"] for one in seen["alarms"])
    assert "1 file parked" in texts and "403 Forbidden" in texts
    assert (
        _brief_error(
            "The operation lacked the necessary privileges to complete for path p/n/x.zst: Error performing PUT "
            "http://127.0.0.1:9/bucket/p/n/x.zst in 8.1ms - Server returned non-2xx status code: 403 Forbidden: <Error>"
            "<Code>AccessDenied</Code></Error>"
        )
        == "The operation lacked the necessary privileges to complete: PUT: 403 Forbidden (AccessDenied)"
    )
    full = opened("full", raw(4), 1000, max_bytes=90_000, limits=Limits("stop_recording"))
    full.start()
    full.recorder.write(bytes(40_000))
    seen = look(Monitor([full.folder]), "full")
    assert seen["state"] == "alarm" and "frames are being lost" in seen["alarms"][0]["text"]


def test_lines_show_the_newest(opened):
    recording = opened(form=LINES, frames=100)
    monitor = Monitor([recording.folder])
    assert look(monitor)["line"] is None
    recording.recorder.write(b'["m1",1,2.5]\n')
    recording.recorder.write(b'["m2",2,3.5]\n')
    recording.keeper.step()
    assert look(monitor)["line"] == '["m2",2,3.5]' and look(monitor)["frames_per_s"] is None


def test_a_process_that_died_is_an_alarm_and_one_that_never_was_is_none(tmp_path):
    monitor = Monitor([str(tmp_path / "rec"), str(tmp_path / "a" / "rec"), str(tmp_path / "rec")])
    seen = monitor.look()["recordings"]
    assert [one["key"] for one in seen] == ["rec", "rec-2"] and {one["state"] for one in seen} == {"absent"}
    program = [sys.executable, "-m", "bourn.cli", "record", "--from", "stdin:", "--frame-bytes", "4", "--file", "10"]
    process = subprocess.Popen(
        [*program, "--folder", str(tmp_path / "rec")], stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    process.stdin.write(bytes(400))
    process.stdin.flush()
    until(lambda: look(monitor, "rec").get("frames") == 100, "it records")
    seen = look(monitor, "rec")
    assert (seen["state"], seen["pid"]) == ("recording", process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdin.close()
    seen = look(monitor, "rec")
    assert seen["state"] == "alarm" and f"({process.pid}) has died" in seen["alarms"][0]["text"]


def test_a_catalogue_that_cannot_be_read_is_said_and_the_others_are_shown(opened, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "catalogue.db").write_bytes(b"no database at all" * 1000)
    recording = opened()
    monitor = Monitor([str(tmp_path / "bad"), recording.folder])
    assert look(monitor, "bad")["state"] == "alarm" and "cannot be read" in look(monitor, "bad")["alarms"][0]["text"]
    assert look(monitor)["state"] == "stopped"  # opened, and not started


def test_looking_is_bounded_and_nobody_looks_by_itself(opened, monkeypatch):
    recording = opened()
    asked = []
    monkeypatch.setattr("bourn.hub.recorder.monitor.ask", asked.append)
    now = [100.0]
    monitor = Monitor([recording.folder], timer=lambda: now[0])
    for _ in range(50):
        monitor.look({"hall": -1})
    assert len(asked) == 1  # however many pages are open
    now[0] += 0.5
    monitor.look()
    assert len(asked) == 2


def test_only_the_same_user_is_answered_and_only_while_it_records(opened):
    recording = opened()
    assert ask(recording.folder) is None
    recording.start()
    assert ask(recording.folder)["pid"] == os.getpid()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:  # no name to answer to: it goes on
        from bourn.hub.recorder.recording import _place

        stranger.sendto(b"live", _place(recording.folder))
    assert ask(recording.folder)["closing"] is False
    if not os.geteuid():  # another user asks
        program = (
            "import os, sys\nfrom bourn.hub.recorder.recording import ask\nos.setuid(65534); print(ask(sys.argv[1]))"
        )
        os.chmod(recording.folder, 0o755)
        for folder in Path(recording.folder).parents:
            if folder.stat().st_uid == 0 and folder != Path("/"):
                os.chmod(folder, folder.stat().st_mode | 0o011)
        said = subprocess.run([sys.executable, "-c", program, recording.folder], capture_output=True, text=True,
                              check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})  # fmt: skip
        assert said.stdout == "None\n"
    recording.close()
    assert ask(recording.folder) is None


def test_files_of_a_range_of_time_page_by_page(opened, seed):
    recording = opened(form=raw(4))
    for _ in range(10):
        recording.recorder.write(bytes(1000))
    recording.keeper.step()
    monitor = Monitor([recording.folder])
    everything = monitor.files("hall", {})
    assert len(everything["files"]) == 10 and everything["next"] is None and everything["gaps"] == []
    pages, after = [], "0"
    while after:
        page = monitor.files("hall", {"limit": "4", "after": after})
        pages.append(page["files"])
        after = str(page["next"] or "")
    assert [len(page) for page in pages] == [4, 4, 2] and list(itertools.chain(*pages)) == everything["files"]
    assert monitor.files("hall", {"since": "1h"})["files"] == everything["files"]
    assert monitor.files("hall", {"until": "2001-01-01"})["files"] == []
    assert monitor.files("hall", {"state": "parked"})["files"] == []
    assert everything["files"][0]["state"] == "sealed" and everything["files"][0]["end"] == 250
    for wrong in ({"since": "tomorrow"}, {"limit": "0"}, {"limit": "x"}, {"after": "-1"}):
        with pytest.raises(ValueError):
            monitor.files("hall", wrong)
    with pytest.raises(UnknownRecording, match="there is hall"):
        monitor.files("yard", {})


def test_the_api_wants_the_token_and_says_what_is_wrong(opened):
    recording = opened()
    recording.recorder.write(bytes(2000))
    recording.keeper.step()
    page = RecorderPage(Monitor([recording.folder]), ("127.0.0.1", 0, None), TOKEN, lambda: False)
    try:
        origin = page.url.partition("/?")[0]
        with httpx.Client(base_url=origin, trust_env=False) as client:
            for path in ("/", "/api/recordings", "/api/recordings/hall/files", "/metrics", "/static/recordings.js"):
                assert client.get(path).status_code == 401, path
            assert client.get("/healthz").status_code == 503
            client.headers["authorization"] = f"Bearer {TOKEN}"
            for path in ("/", "/api/recordings", "/api/recordings/hall/files?since=1d", "/static/recordings.css"):
                assert client.get(path).status_code == 200, path
            told = client.get("/api/recordings", params={"after": "hall:-1"}).json()
            assert told["recordings"][0]["key"] == "hall" and len(told["recordings"][0]["sound"]["columns"]) == 10
            for path, status in (("/api/recordings?after=hall", 400), ("/api/recordings?after=hall:x", 400),
                                 ("/api/recordings/yard/files", 404), ("/api/recordings/hall/files?since=x", 400),
                                 ("/api/recordings/hall/files?limit=99999", 400)):  # fmt: skip
                answer = client.get(path)
                assert answer.status_code == status and answer.json()["error"], path
            figures = client.get("/metrics").text
            assert 'bourn_recording_files{recording="hall",state="sealed"} 4.0' in figures
            assert "bourn_journal" not in figures
    finally:
        page.close()


def test_record_page_prints_its_url_and_a_taken_port_is_told_before_anything_is_recorded(tmp_path):
    command = [sys.executable, "-m", "bourn.cli", "record", "--from", "stdin:", "--rate", "1000", "--file", "1s"]
    where = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT / "src")}}
    process = subprocess.Popen([*command, "--page"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **where)
    try:
        word, url = process.stdout.readline().split()
        assert word == "page"
        origin, _, token = url.partition("/?token=")
        got = httpx.get(f"{origin}/api/recordings", headers={"authorization": f"Bearer {token}"}, trust_env=False)
        assert got.json()["recordings"][0]["key"] == "recordings"
        address = origin.removeprefix("http://")
        done = subprocess.run([*command, "--web", address, "--folder", "other"], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False, **where)  # fmt: skip
        assert done.returncode == 2 and "choose another" in done.stderr
        done = subprocess.run([*command, "--web", "0.0.0.0:0", "--folder", "other"], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False, **where)  # fmt: skip
        assert done.returncode == 2 and "can be reached by others" in done.stderr
    finally:
        process.stdin.close()
        assert process.wait(20) == 0
        process.stdout.close()
