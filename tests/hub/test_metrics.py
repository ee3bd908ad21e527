"""What Prometheus gets is what docs/metrics.md says, read by its own parser; /healthz tells of a stuck journal."""

import asyncio
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from peer import Peer, data
from processes import BOURN, count, hub, sensors, until, url_of
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from servers import free_port, mosquitto

from bourn.hub.control_file import Control, kept_token, read_control
from bourn.hub.hub import Hub
from bourn.hub.metrics import FIGURES, RECORDING_FIGURES, exposition
from bourn.hub.recorder.form import raw
from bourn.hub.recorder.recording import Recording, Settings

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "metrics.md"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    """A hub with a sensor, a repository, a broker, one refused link, and a recording beside it."""
    folder = tmp_path_factory.mktemp("metrics")
    port = free_port()
    foreign = f"mqtt+json://127.0.0.1:{port}/{{source}}/{{sensor}}"
    recording = Recording(str(folder / "rec"), Settings("rec", raw(4), 100), None)
    recording.recorder.write(bytes(4 * 250))
    recording.recorder.skip(50, "overflow")
    recording.recorder.write(bytes(4))
    recording.keeper.step()
    options = ("--csv-file", "out.csv", "--network-in-flight", "5", "--listen", foreign, "--recordings", "rec")
    with mosquitto(folder, port), hub(folder, *options) as program:
        url = url_of(program)
        with sensors(folder, url, "--num-sensors", "1", "--every", "0.1", "--micropython", "none"):
            until(lambda: count(folder) > 5, "readings in the journal")
            asyncio.run(refused(url))
            found = read_control(str(folder / "j.db"))
            assert found is not None
            yield found
    recording.close()


async def refused(url: str) -> None:
    async with await Peer.connect(url) as bad:
        await bad.send(b"\xff" * 100)
        await bad.refused()


def scrape(control: Control, accept: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {control.token}", "accept": accept}
    return httpx.get(f"{control.url}/metrics", headers=headers, trust_env=False)


def documented() -> dict[str, tuple[str, str]]:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, –]+) \|", DOCS.read_text(), re.MULTILINE)
    return {name: (kind, "" if labels == "–" else ", ".join(sorted(labels.split(", ")))) for name, kind, labels in rows}


def test_what_is_served_is_what_is_documented(control: Control) -> None:
    answer = scrape(control)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    served = {}
    for family in parse(answer.text):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {tuple(sample.labels) for sample in family.samples}
        assert len(labels) == 1, f"{name} has samples of one shape, and at least one: {labels}"
        served[name] = (family.type, ", ".join(sorted(labels.pop())))
        assert family.documentation
    assert served == documented()
    assert set(served) == {figure.name for figure in (*FIGURES, *RECORDING_FIGURES)}


def test_the_figures_are_the_hubs(control: Control) -> None:
    figures = {(s.name, *s.labels.values()): s.value for f in parse(scrape(control).text) for s in f.samples}
    assert figures["bourn_source_up", "s1"] == 1
    assert figures["bourn_repository_up", "csv:out.csv"] == 1
    assert figures["bourn_in_flight_limit",] == 5
    assert figures["bourn_journal_failing",] == 0
    assert figures["bourn_recording_files", "rec", "sealed"] == 3
    assert figures["bourn_recording_lost_frames_total", "rec"] == 50 and figures["bourn_recording_gaps", "rec"] == 1
    assert figures["bourn_recording_disk_bytes", "rec"] == 1004
    assert figures["bourn_journal_readings",] >= figures["bourn_source_acknowledged_total", "s1"] > 5
    assert figures["bourn_readings_stored_total",] == figures["bourn_journal_readings",]
    assert sum(value for name, value in figures.items() if name[0] == "bourn_links_refused_total") == 1


def test_openmetrics_where_it_is_asked_for(control: Control) -> None:
    answer = scrape(control, "application/openmetrics-text; version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert len(list(parse_openmetrics(answer.text))) == len(FIGURES) + len(RECORDING_FIGURES)


def test_metrics_want_the_token_and_healthz_does_not(control: Control) -> None:
    assert httpx.get(f"{control.url}/metrics", trust_env=False).status_code == 401
    answer = httpx.get(f"{control.url}/healthz", trust_env=False)
    assert (answer.status_code, answer.text) == (200, "ok")


def test_a_journal_that_cannot_commit_is_unhealthy_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        hub = Hub(str(tmp_path / "j.db"))
        await hub.start()
        await hub.serve_page("127.0.0.1", 0)
        assert hub.page is not None
        async with httpx.AsyncClient(base_url=hub.page.origin, trust_env=False) as client:

            async def health(wanted: int) -> str:
                async with asyncio.timeout(30):
                    while (answer := await client.get("/healthz")).status_code != wanted:
                        await asyncio.sleep(0.01)
                return answer.text

            assert await health(200) == "ok"
            commit = hub.journal.commit

            def full() -> None:
                raise OSError(28, "No space left on device")

            monkeypatch.setattr(hub.journal, "commit", full)
            async with await Peer.connect(hub.url) as peer:
                await peer.hello("s1")
                await peer.send(data(1, "x"))
                assert await health(503) == "the journal cannot store\n"
                assert "bourn_journal_failing 1.0" in exposition(hub.status())[0].decode()
                monkeypatch.setattr(hub.journal, "commit", commit)
                assert await health(200) == "ok"
        await hub.stop()

    asyncio.run(main())


def test_a_commit_that_does_not_end_is_trouble_too(tmp_path: Path) -> None:
    async def main() -> None:
        hub = Hub(str(tmp_path / "j.db"))
        hub.ingest._committing = 100.0
        assert hub.ingest.trouble(105.0) is None
        assert "has not ended for 20 s" in (hub.ingest.trouble(120.0) or "")
        await hub.stop()

    asyncio.run(main())


def test_the_token_is_kept_in_a_file_of_the_owners(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = kept_token(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kept_token(str(path)) == token
    path.chmod(0o644)
    with pytest.raises(ValueError, match="can be read by others; chmod 600"):
        kept_token(str(path))
    path.chmod(0o600)
    path.write_text("1234\n")
    with pytest.raises(ValueError, match="16 printable characters"):
        kept_token(str(path))


def test_the_token_stays_over_restarts(tmp_path: Path) -> None:
    seen = set()
    for _ in range(2):
        with hub(tmp_path, "--web-token-file", "token") as program:
            url_of(program)
            control = read_control(str(tmp_path / "j.db"))
            assert control is not None
            seen.add(control.token)
            program.interrupt()
            program.ended()
    assert seen == {(tmp_path / "token").read_text().strip()}
    command = [*BOURN, "hub", "--listen", "tcp://127.0.0.1:0", "--web-token-file", "missing/token", "--for", "1m"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "missing/token" in done.stderr and done.stderr.count("\n") == 1
    assert not os.path.exists(tmp_path / "missing")
