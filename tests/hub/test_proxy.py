"""Real sensors and a real hub with a bad network between them: cuts in the middle of frames, links that go silent."""

from pathlib import Path

from processes import check_complete, count, hub, query, sensors, stored_of, totals, until, url_of
from proxy import Proxy

from bourn.spool.segments import SegmentSpool

NAMES = ("a", "b", "c")


def test_cut_and_half_open_links_lose_nothing_and_store_nothing_twice(tmp_path: Path, seed: int) -> None:
    """Acknowledged ⊆ stored ⊆ sent, none twice, each source in its order; and at the end all of them are equal."""
    config = tmp_path / "sensors.toml"
    config.write_text("".join(f'[[sensor]]\nname = "{n}"\nkind = "counter"\nevery = "0.01"\n' for n in NAMES))
    more = ("--outbox", "out")
    with hub(tmp_path, "--no-web") as running:
        port = int(url_of(running).rpartition(":")[2])
        with (
            Proxy(port, seed) as network,
            sensors(tmp_path, f"tcp://127.0.0.1:{network.port}", "--config", config.name, *more) as group,
        ):
            until(lambda: network.fates["cut"] >= 6 and network.fates["mute"] >= 2, f"trouble: {network.fates}")
            network.calm()
            before = stored_of(tmp_path)
            until(lambda: all(stored_of(tmp_path).get(n, 0) > before.get(n, 0) + 50 for n in NAMES), "all are back")
            print(f"{network.fates}, {count(tmp_path)} stored")
            group.interrupt()
            assert group.ended() == 0, group.err
            numbers = totals(group)
        running.interrupt()
        assert running.ended() == 0, running.err
    assert numbers["sent"] == numbers["acknowledged"] + numbers.get("known", 0) == count(tmp_path), numbers
    assert query(tmp_path, "SELECT count(*) FROM reading WHERE val != seq") == [(0,)], "what was never sent"
    check_complete(tmp_path)
    for name in NAMES:
        spool = SegmentSpool(str(tmp_path / "out" / name))
        assert spool.waiting() == 0
        spool.close()
