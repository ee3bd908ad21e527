"""The connection over TLS: verified by every interpreter, with keys beyond this machine, and hard to bother."""

import asyncio
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from peer import EPOCH, running
from processes import (
    BOURN,
    SOURCE,
    Program,
    check_complete,
    count,
    finish,
    hub,
    stored_of,
    until,
    url_of,
)
from servers import missing

from bourn import wire
from bourn.device.connections import check_url

sys.path.insert(0, str(SOURCE.parent / "tools"))
import interpreters


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, hub.pem and hub.key for localhost; `other/` has an authority that did not sign them."""
    folder = tmp_path_factory.mktemp("certificates")
    for names, where in ((("localhost", "127.0.0.1"), folder), (("localhost",), folder / "other")):
        done = subprocess.run(
            [*BOURN, "certificate", *names, "--out", str(where)], capture_output=True, text=True, check=True
        )
        assert "bourn hub --listen 'tls://" in done.stdout
    for name, mode in (("ca.pem", "0o644"), ("hub.pem", "0o644"), ("ca.key", "0o600"), ("hub.key", "0o600")):
        assert oct((folder / name).stat().st_mode & 0o777) == mode, name
    return folder


def listen(folder: Path, host: str = "127.0.0.1", port: int = 0) -> str:
    return f"tls://{host}:{port}?cert={folder}/hub.pem&key={folder}/hub.key"


def node(folder: Path, url: str, lane: str, **settings: Any) -> Program:
    """A sensor's process on the interpreter of that lane."""
    found = interpreters.lanes(get=False)[lane]
    if found["reason"]:
        missing(f"the lane {lane} ({found['reason']})")
    settings = {
        "source": "s1",
        "hub": url,
        "outbox": str(folder / "outbox"),
        "sensors": [{"kind": "random", "name": "s1", "every": 0.05}],
        **settings,
    }
    text = json.dumps(settings)
    pieces = [text[i : i + 200] for i in range(0, len(text), 200)]
    environment = {"MICROPYPATH": f"{SOURCE}:.frozen", "PYTHONPATH": str(SOURCE)}
    command = [*found["command"], "-m", "bourn.device.node", *pieces]
    return Program(*command, cwd=folder, stdin=subprocess.PIPE, env=environment)


def something_in(outbox: Path) -> bool:
    """Whether there is more in an outbox than a segment's header; what was sent leaves it."""
    return any(file.stat().st_size > 24 for file in outbox.glob("*.seg"))


@pytest.mark.parametrize("lane", interpreters.LANES)
def test_readings_over_verified_tls(tmp_path: Path, certificates: Path, lane: str) -> None:
    with hub(tmp_path, listen=listen(certificates)) as server:
        url = url_of(server).replace("127.0.0.1", "localhost") + f"?ca={certificates}/ca.pem"
        with node(tmp_path, url, lane) as sensor:
            until(lambda: count(tmp_path) >= 20, "readings over TLS")
            report = finish(sensor)
        assert report["sent"] == report["acked"] > 0 and report["waiting"] == 0
        for ca, name in (("other/ca.pem", ""), ("ca.pem", "&name=elsewhere")):  # not vouched for; another's name
            before = count(tmp_path)
            wrong = url.replace("ca.pem", ca) + name
            with node(tmp_path, wrong, lane, outbox=str(tmp_path / "o")) as sensor:
                until(lambda: something_in(tmp_path / "o"), "a reading in the outbox")
                report = finish(sensor)
            assert report["sent"] == 0 and report["waiting"] > 0, report
            assert "ertificate" in report["last_error"], report
            assert count(tmp_path) == before
        server.interrupt()
        assert server.ended() == 0 and not server.err
    check_complete(tmp_path)


def test_a_hub_that_comes_back_is_found_again(tmp_path: Path, certificates: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"tls://localhost:{port}?ca={certificates}/ca.pem"
    with node(tmp_path, url, "cpython", drain_ms=30_000) as sensor:
        for least in (10, 30):
            with hub(tmp_path, listen=listen(certificates, port=port)) as server:
                until(lambda least=least: count(tmp_path) >= least, "readings over TLS")  # type: ignore[misc] # a count
                server.kill()
        with hub(tmp_path, listen=listen(certificates, port=port)) as server:
            url_of(server)
            report = finish(sensor)
    assert report["waiting"] == 0 and report["links"] >= 2
    assert sum(check_complete(tmp_path).values()) == report["appended"]


def test_beyond_this_machine_only_with_a_key(tmp_path: Path, certificates: Path) -> None:
    assert subprocess.run(
        [*BOURN, "keys", "add", "s1", "--journal", "j.db", "--out", "s.keys"], cwd=tmp_path, check=True
    )
    with hub(tmp_path, listen=listen(certificates, "0.0.0.0")) as server:
        url = url_of(server).replace("0.0.0.0", "localhost") + f"?ca={certificates}/ca.pem"
        with node(tmp_path, url, "cpython", keys="s.keys") as sensor:
            until(lambda: count(tmp_path), "readings with a key")
            finish(sensor)
        with node(tmp_path, url, "cpython", source="s2", outbox=str(tmp_path / "o")) as sensor:
            until(lambda: something_in(tmp_path / "o"), "a reading in the outbox")
            report = finish(sensor)
        assert report["sent"] == 0 and "wants a key" in report["last_error"]
    assert set(stored_of(tmp_path)) == {"s1"}


def test_whoever_speaks_no_tls_or_nothing_at_all_bothers_nobody(tmp_path: Path, certificates: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path, listen_url=listen(certificates)) as server:
            host, port = server.url.removeprefix("tls://").split(":")
            trust = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
            silent = [await asyncio.open_connection(host, int(port)) for _ in range(50)]
            for garbage in (wire.encode(wire.HELLO, "s1", EPOCH, 1, {}), b"GET / HTTP/1.0\r\n\r\n", bytes(1000)):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(garbage)
                assert b"WELCOME" not in await asyncio.wait_for(reader.read(), 10)
                writer.close()
            began = time.monotonic()
            reader, writer = await asyncio.open_connection(host, int(port), ssl=trust, server_hostname="localhost")
            writer.write(wire.encode(wire.HELLO, "s1", EPOCH, 1, {}))
            length = int.from_bytes(await asyncio.wait_for(reader.readexactly(4), 10), "big")
            assert (await reader.readexactly(length))[0] == wire.WELCOME
            assert time.monotonic() - began < 5, "the silent ones are not waited for"
            writer.close()
            old = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
            with pytest.deprecated_call():
                old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(host, int(port), ssl=old, server_hostname="localhost")
            for _, one in silent:
                one.close()

    asyncio.run(scene())


def test_a_wrong_address_or_certificate_is_told_in_a_line(tmp_path: Path, certificates: Path) -> None:
    key, pem = certificates / "hub.key", certificates / "hub.pem"
    for url, said in (
        ("tls://127.0.0.1:0", "`bourn certificate NAME` makes one"),
        (f"tls://127.0.0.1:0?cert={tmp_path}/no.pem", "cannot be read: No such file"),
        (f"tls://127.0.0.1:0?cert={key}&key={key}", "no certificate with its key"),
        (f"tls://127.0.0.1:0?cert={pem}&key={certificates}/other/hub.key", "no certificate with its key"),
        (f"tls://127.0.0.1:0?certificate={pem}", "looks like tls://"),
        ("tls://127.0.0.1", "looks like tls://"),
    ):
        done = subprocess.run(
            [*BOURN, "hub", "--listen", url, "--for", "1"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1, (url, done.stderr)
    for url in ("tls://host", "tls://host:1?ca", f"tls://host:1?cert={pem}", f"tls://host:1?ca={tmp_path}/no.pem"):
        with pytest.raises(ValueError, match=r"hub's URL|cannot be used"):
            check_url(url)


def test_the_page_and_the_api_over_tls(tmp_path: Path, certificates: Path) -> None:
    web = f"https://0.0.0.0:0?cert={certificates}/hub.pem&key={certificates}/hub.key"
    with hub(tmp_path, "--web", web) as server:
        page = server.said(r"^page +(https://\S+)")[1]
        host, port, token = re.findall(r"https://([\d.]+):(\d+)/\?token=(\S+)", page)[0]
        trust = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
        with httpx.Client(verify=trust, base_url=f"https://127.0.0.1:{port}") as browser:
            first = browser.get("/", params={"token": token})
            assert first.status_code == 303 and "Secure" in first.headers["set-cookie"]
            assert browser.get("/").status_code == 200
            assert browser.get("/api/status").json()["state"] == "running"
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
        assert host == "127.0.0.1"
        status = subprocess.run(
            [*BOURN, "status", "--journal", "j.db"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert status.returncode == 0 and "running" in status.stdout, status.stderr
        # A program that has taken the port since, with a certificate of its own, does not get the token.
        control = json.loads((tmp_path / "j.db.api").read_text())
        control["certificate"] = str(certificates / "other" / "hub.pem")
        (tmp_path / "j.db.api").write_text(json.dumps(control))
        status = subprocess.run(
            [*BOURN, "status", "--journal", "j.db"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert status.returncode == 1 and "ertificate" in status.stderr, status.stderr
