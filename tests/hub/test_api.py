"""A running hub is found and asked by commands on the same machine; whatever is in the way is told with its remedy."""

import json
import os
import re
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import LIMIT_S, Program, count, hub, sensors, until, url_of

from bourn import cli
from bourn.cli.api import Api, ApiError, find_hub
from bourn.hub.control_file import Control, control_path, read_control, remove_control, write_control


def ask(folder: Path, capfd: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    """`bourn status` of the hub in `folder`: its status, what it said, what it complained about."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as e:
        cli.main(
            ["status", *options] if "--hub-url" in options else ["status", "--journal", f"{folder}/j.db", *options]
        )
    said = capfd.readouterr()
    return int(e.value.code or 0), said.out, said.err


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Program]]:
    """A hub with two sensors whose readings are stored."""
    folder = tmp_path_factory.mktemp("api")
    with hub(folder, "--csv-file", "out.csv") as program:
        url = url_of(program)
        with sensors(folder, url, "--num-sensors", "2", "--every", "0.1", "--micropython", "none"):
            until(lambda: count(folder) > 5, "readings in the journal")
            yield folder, program


def test_status_says_what_the_hub_does(running: tuple[Path, Program], capfd: pytest.CaptureFixture[str]) -> None:
    status, out, err = ask(running[0], capfd)
    assert (status, err) == (0, "")
    assert re.search(r"^Bourn \S+  running for \d+ s", out)
    assert re.search(r"^journal  j\.db  [\d,]+ readings", out, re.MULTILINE)
    assert re.search(r"^s1 +up +cpython", out, re.MULTILINE)
    assert re.search(r"^s2 +up +cpython", out, re.MULTILINE)
    assert re.search(r"^csv:out\.csv +up", out, re.MULTILINE)
    assert "\x1b" not in out, "colours where nobody looks"
    page = re.search(r"^page +(\S+)$", out, re.MULTILINE)
    assert page
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        assert browser.get(page[1]).status_code == 200


def test_status_as_json_is_what_the_page_gets(running: tuple[Path, Program], capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = ask(running[0], capfd, "--json")
    told = json.loads(out)
    assert status == 0
    assert [link["source"] for link in told["links"]] == ["s1", "s2"]
    assert told["journal"]["rows"] > 5
    assert out.count("\n") == 1
    assert "token" not in out


def test_by_its_address_and_a_file_with_the_token(
    running: tuple[Path, Program], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    control = read_control(str(running[0] / "j.db"))
    assert control is not None
    token = tmp_path / "token"
    token.write_text(control.token + "\n")
    assert ask(tmp_path, capfd, "--hub-url", control.url, "--token-file", str(token))[0] == 0

    token.write_text("another")
    status, _, err = ask(tmp_path, capfd, "--hub-url", control.url, "--token-file", str(token))
    assert status == 1 and "refuses the token" in err and str(token) in err
    assert err.count("\n") == 1

    for text, why in (("", "holds no token"), ("zwölf", "holds no token")):
        token.write_text(text)
        status, _, err = ask(tmp_path, capfd, "--hub-url", control.url, "--token-file", str(token))
        assert status == 1 and why in err
    status, _, err = ask(tmp_path, capfd, "--hub-url", control.url)
    assert status == 1 and "--token-file" in err
    status, _, err = ask(tmp_path, capfd, "--hub-url", control.url, "--token-file", str(tmp_path / "none"))
    assert status == 1 and "cannot be read" in err
    for wrong in ("127.0.0.1:80", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999", "http://127.0.0.1/x"):
        token.write_text(control.token)
        status, _, err = ask(tmp_path, capfd, "--hub-url", wrong, "--token-file", str(token))
        assert status == 1 and "no hub's address" in err


def test_the_control_file_is_the_owners_and_goes_with_the_hub(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with hub(tmp_path) as program:
        url_of(program)
        path = Path(control_path(str(tmp_path / "j.db")))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert set(json.loads(path.read_text())) == {"url", "token", "pid"}
        assert not [line for line in program.out if json.loads(path.read_text())["token"] in line]
        program.interrupt()
        assert program.ended() == 0
    assert not path.exists()
    assert sorted(os.listdir(tmp_path)) == ["j.db", "j.db.lock"]
    status, _, err = ask(tmp_path, capfd)
    assert status == 1 and "no hub is running" in err and "bourn hub --journal" in err


def test_a_file_left_by_a_killed_hub_is_seen_to_be_stale(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with hub(tmp_path) as program:
        url_of(program)
        program.kill()
    status, _, err = ask(tmp_path, capfd)
    assert status == 1 and "has died" in err and "bourn hub --journal" in err

    # Its number belongs to another program by now, and nobody listens, or somebody else does.
    path = Path(control_path(str(tmp_path / "j.db")))
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "pid": os.getpid()}))
    status, _, err = ask(tmp_path, capfd)
    assert status == 1 and "no hub is running at" in err

    with hub(tmp_path) as program:  # the next one puts its own in the place of it
        url_of(program)
        assert json.loads(path.read_text())["pid"] == program.process.pid
        assert ask(tmp_path, capfd)[0] == 0
        mine = json.loads(path.read_text())
        path.write_text(json.dumps({**mine, "token": "of-before"}))
        status, _, err = ask(tmp_path, capfd)
        assert status == 1 and "refuses the token" in err
        for damage in ("", "[]", '{"url": 1}', '{"url": "x", "token": 1, "pid": 2}', "\x00"):
            path.write_text(damage)
            status, _, err = ask(tmp_path, capfd)
            assert status == 1 and "damaged" in err


def test_another_program_at_the_address_is_told_from_a_hub(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        write_control(str(tmp_path / "j.db"), f"http://127.0.0.1:{server.getsockname()[1]}", "t")
        answers = [b"HTTP/1.0 200 OK\r\n\r\n<html>", b"SSH-2.0-OpenSSH\r\n", b""]
        for answer in answers:

            def once() -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

            other = threading.Thread(target=once)
            other.start()
            status, out, err = ask(tmp_path, capfd)
            other.join(LIMIT_S)
            assert not other.is_alive()
            assert status == 1 and out == "" and err.count("\n") == 1, err


def test_without_web_there_is_no_api(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with hub(tmp_path, "--no-web") as program:
        url_of(program)
        assert not Path(control_path(str(tmp_path / "j.db"))).exists()
        program.interrupt(signal.SIGTERM)
        assert program.ended() == 0
    with hub(tmp_path, "--no-web", "--log-to-plot") as program:
        assert program.ended() == 2
        assert "contradict" in program.err[-1]


def test_a_change_wants_the_token_in_a_header_or_the_page_itself(running: tuple[Path, Program]) -> None:
    control = read_control(str(running[0] / "j.db"))
    assert control is not None
    cookies = {f"bourn_{control.url.rpartition(':')[2]}": control.token}

    def post(**options: Any) -> int:
        return httpx.post(f"{control.url}/api/status", trust_env=False, **options).status_code

    refused, passed = 401, 405  # there is nothing to change at that path; the guard had no objection
    assert post(cookies=cookies) == refused
    assert post(cookies=cookies, headers={"sec-fetch-site": "same-site"}) == refused
    assert post(params={"token": control.token}) == refused
    assert post(cookies=cookies, headers={"sec-fetch-site": "same-origin"}) == passed
    assert post(headers={"authorization": f"Bearer {control.token}"}) == passed


def test_the_file_is_replaced_whole_and_shows_no_token(tmp_path: Path) -> None:
    journal = str(tmp_path / "j.db")
    assert read_control(journal) is None
    write_control(journal, "http://127.0.0.1:1", "one")
    write_control(journal, "http://127.0.0.1:2", "two")
    assert read_control(journal) == Control("http://127.0.0.1:2", "two", os.getpid())
    assert "two" not in repr(read_control(journal))
    assert os.listdir(tmp_path) == ["j.db.api"]
    Path(control_path(journal)).write_text(json.dumps({"url": "x", "token": "y", "pid": os.getpid() + 1}))
    remove_control(journal)
    assert os.listdir(tmp_path) == ["j.db.api"], "that of another process stays"


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    write_control(str(tmp_path / "j.db"), f"http://127.0.0.1:{port}", "t")
    with pytest.raises(ApiError, match=r"no hub is running at .*bourn hub --journal"):
        find_hub(str(tmp_path / "j.db")).get("/api/status")
    with pytest.raises(ApiError, match="no host that is known"):
        Api("http://no-such-host.invalid:1", "t", "a file", "start it").get("/api/status")
