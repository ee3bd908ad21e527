"""kill -9, of the hub and of sensors, in the middle of everything: what was acknowledged is stored, once."""

import random
import shutil
import time
from pathlib import Path

import pytest
from processes import (
    check_complete,
    count,
    csv_ids,
    finish,
    hub,
    journal_ids,
    micropython,
    node,
    query,
    sensors,
    totals,
    until,
    url_of,
)

from bourn.spool.segments import SegmentSpool


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_kills_of_the_hub_lose_nothing_and_store_nothing_twice(tmp_path: Path, seed: int, kills: int) -> None:
    chance = random.Random(seed)
    options = ("--csv-file", "all.csv", "--network-in-flight", "50")
    running = hub(tmp_path, *options)
    url = url_of(running)
    restarted_ms = 0
    python = micropython()
    with sensors(tmp_path, url, "--num-sensors", "5", "--every", "0.005", "--micropython", python) as five:
        for _ in range(kills):
            with running:
                before = count(tmp_path)
                until(lambda: count(tmp_path) > before + 20, "readings come again by themselves")
                time.sleep(chance.uniform(0, 0.4))
                running.kill()
            restarted_ms = int(time.time() * 1000)
            running = hub(tmp_path, *options, listen=url)
            assert url_of(running) == url
        with running:
            sources = "SELECT count(DISTINCT source) FROM reading JOIN stream ON stream.id = stream WHERE ts > "
            until(lambda: query(tmp_path, sources + str(restarted_ms)) == [(5,)], "all five sensors are back")
            five.interrupt()
            assert five.ended() == 0
            runs = [totals(five)]
            while "waiting" in runs[-1]:  # a loaded machine may not drain in time; the rest is for the next run
                with sensors(tmp_path, url, "--num-sensors", "5", "--every", "1h", "--for", "3") as again:
                    assert again.ended() == 0
                runs.append(totals(again))
                assert len(runs) < 10, runs
            running.interrupt()
            assert running.ended() == 0
    stored = check_complete(tmp_path)
    assert {source for source, _ in stored} == {"s1", "s2", "s3", "s4", "s5"}
    assert len(stored) == 5 * len(runs), "no sensor was started again"
    assert sum(run["acknowledged"] + run.get("known", 0) for run in runs) == sum(stored.values())
    assert csv_ids(tmp_path / "all.csv") == journal_ids(tmp_path)
    for name in ("s1", "s5"):
        spool = SegmentSpool(str(tmp_path / "bourn.outbox" / name))
        assert spool.waiting() == 0
        spool.close()
    print(f"{kills} kills: {sum(stored.values())} readings accepted, acknowledged and stored")


@pytest.mark.parametrize("interpreter", ["cpython", "micropython"])
def test_what_a_killed_sensor_had_accepted_arrives_once(tmp_path: Path, interpreter: str, seed: int) -> None:
    chance = random.Random(seed)
    python = micropython() if interpreter == "micropython" else None
    settings = {
        "source": "s",
        "hub": "tcp://127.0.0.1:1",  # nobody is there
        "outbox": str(tmp_path / "outbox"),
        "sensors": [{"kind": "counter", "name": "s", "every": 0.005}],
    }
    lasts: dict[str, int] = {}

    def run_and_kill() -> None:
        """Note what was accepted, as the medium has it after the kill."""
        known = outbox_lasts(tmp_path)
        with node(tmp_path, settings, python) as sensor:
            until(lambda: set(outbox_lasts(tmp_path)) - set(known), "something was accepted")
            time.sleep(chance.uniform(0, 0.4))
            sensor.kill()
        lasts.update(outbox_lasts(tmp_path))

    run_and_kill()
    run_and_kill()  # two epochs of which the hub has seen nothing
    with hub(tmp_path) as running:
        settings["hub"] = url_of(running)
        for _ in range(4):
            run_and_kill()
        with node(tmp_path, settings, python) as sensor:
            report = finish(sensor)
        running.interrupt()
        assert running.ended() == 0
    assert report["waiting"] == 0, report
    stored = {epoch: n for (_, epoch), n in check_complete(tmp_path).items()}
    assert len(lasts) == 6
    assert {epoch: stored.get(epoch) for epoch in lasts} == lasts
    assert query(tmp_path, "SELECT count(*) FROM reading WHERE val != seq") == [(0,)], "each has the value it was given"


def outbox_lasts(folder: Path) -> dict[str, int]:
    """The last number of each epoch in the outbox, read from a copy: opening it is writing to it."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    try:
        shutil.copytree(folder / "outbox", copy)
    except (FileNotFoundError, shutil.Error):  # not there yet, or just trimmed
        return {}
    spool = SegmentSpool(str(copy))
    entries = spool.read(None, 1_000_000)
    spool.close()
    return {epoch: seq for (epoch, seq), _ in entries}
