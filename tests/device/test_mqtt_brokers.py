"""The MQTT client on every interpreter against real brokers: killed and back, over TLS, with passwords and sessions."""

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE.parent / "hub"), str(ROOT / "tools")]

from servers import free_port, mosquitto, nats_server  # noqa: E402 - of tests/hub

import interpreters  # noqa: E402 - of tools/
from bourn.device.mqtt import Client  # noqa: E402 - after the path
from bourn.device.secure import Tls  # noqa: E402 - after the path

LIMIT_S = 60
KEEP_USER = ["user root"] if os.geteuid() == 0 else []  # else mosquitto could not read what pytest has written
LANES = interpreters.lanes(get=False)


def lane(name):
    """The command of an interpreter; without it the test is left out, in CI it fails."""
    found = LANES[name]
    if found["reason"]:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs the lane {name}: {found['reason']}")
        pytest.skip(found["reason"])
    return [*found["command"], *([] if name == "cpython" else ["-X", "heapsize=1m"])]


def started(name, program, *arguments):
    """A program of ours on an interpreter."""
    command = [sys.executable] if name == "cpython" else lane(name)
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "MICROPYPATH": f"{ROOT / 'src'}:{ROOT / 'stdlib'}:.frozen"}
    return subprocess.Popen([*command, str(program), *arguments], env=env, stdout=subprocess.PIPE, text=True)


def publisher(name, port, each, threads=4, **settings):
    """tests/device/publisher.py on an interpreter."""
    told = {
        "port": port,
        "each": each,
        "threads": threads,
        "topic": "t/x",
        "limit_s": LIMIT_S,
        "options": {},
        **settings,
    }
    text = json.dumps(told)
    return started(name, HERE / "publisher.py", *[text[at : at + 200] for at in range(0, len(text), 200)])


def report_of(process):
    """What the publisher said at its end."""
    out, _ = process.communicate(timeout=LIMIT_S + 30)
    assert process.returncode == 0, out
    return json.loads(out.splitlines()[-1])


class Hearing:
    """A client of ours that hears `topic` over as many links as it takes; `got` holds the payloads."""

    def __init__(self, port, topic="t/#", client_id="hearing"):
        self.got = []
        self.client = Client("127.0.0.1", port, client_id, clean=False, on_message=self._hear, window=100)
        self.client.subscribe(topic)

    def _hear(self, topic, payload, retained):
        self.got.append(payload.decode())

    def until(self, condition, limit_s=LIMIT_S):
        """Step until it comes true."""
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, (self.client.state, self.client.last_error, len(self.got))
            self.client.step(20)


@contextlib.contextmanager
def killed_and_back(broker, folder, port, times, seed, begin=None, longest_s=0.5):
    """A broker that is killed with -9 at random moments, `longest_s` apart at most, and started again.

    `begin`: an event before which it is left alone.
    """
    over = threading.Event()
    kills = []

    def rounds():
        chance = random.Random(seed)
        for _ in range(times):
            with broker(folder, port) as process:
                if begin is not None:
                    begin.wait()
                if over.wait(chance.uniform(longest_s / 10, longest_s)):
                    return
                process.kill()
                process.wait()
                kills.append(time.monotonic())
            over.wait(chance.uniform(0, 0.1))
        with broker(folder, port):
            over.wait(10 * LIMIT_S)

    thread = threading.Thread(target=rounds)
    thread.start()
    try:
        yield kills
    finally:
        over.set()
        if begin is not None:
            begin.set()
        thread.join()


def survives(name, broker, folder, each, times, seed):
    """Four threads publish while the broker is killed again and again; what the publisher reports, and the kills."""
    port = free_port()
    with killed_and_back(broker, folder, port, times, seed) as kills:
        process = publisher(name, port, each, options={"queue": 20}, pause_s=0.5 * times / each)
        report = report_of(process)
        print(seed, len(kills), report)
        assert report["all"], report
        assert report["acked"] == 4 * each
        assert len(kills) >= times / 2, kills
        return report, len(kills)


@pytest.mark.parametrize("name", ["cpython", "mpy-x64", "mpy-armhf"])
def test_a_broker_that_forgets_everything_is_killed_again_and_again(name, tmp_path, seed):
    survives(name, mosquitto, tmp_path, 400, 3, seed)


@pytest.mark.parametrize("name", ["mpy-x64"])
def test_with_a_broker_that_keeps_what_it_acknowledged_every_message_arrives(name, tmp_path, seed):
    """Kills included, and in the order of each thread, once what came twice is removed."""
    port, each = free_port(), 500
    with killed_and_back(nats_server, tmp_path, port, 3, seed) as kills:
        hearing = Hearing(port)
        hearing.until(hearing.client.ready)
        process = publisher(name, port, each, pause_s=0.003)
        hearing.until(lambda: len(set(hearing.got)) == 4 * each)
        report = report_of(process)
        print(seed, len(kills), report, len(hearing.got))
        hearing.client.close()
    first = list(dict.fromkeys(hearing.got))
    for k in range(4):
        assert [one for one in first if one.startswith(f"{k} ")] == [f"{k} {i}" for i in range(each)]


@pytest.mark.soak
def test_twenty_kills_in_ten_thousand_messages(tmp_path, seed):
    for name in ("mpy-x64", "mpy-armhf", "cpython"):
        report, kills = survives(name, mosquitto, tmp_path, 2500, 20, seed)
        print(name, kills, report)


# -- TLS


def openssl(folder, *words):
    """Run openssl there."""
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with a CA of our own, a server's certificate for `localhost`, a device's, and a strange CA."""
    folder = tmp_path_factory.mktemp("ca")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    for ca in ("ca", "strange"):
        openssl(folder, "req", "-x509", *new, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", f"/CN=test {ca}")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    for name, more in (("localhost", ["-extfile", "names"]), ("device", [])):
        openssl(folder, "req", *new[:-2], "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", f"{name}.pem", *more]
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed)
    return folder


def tls_lines(folder):
    """What mosquitto needs to be told."""
    return [
        *KEEP_USER,
        f"cafile {folder}/ca.pem",
        f"certfile {folder}/localhost.pem",
        f"keyfile {folder}/localhost.key",
    ]


@pytest.mark.parametrize("name", ["cpython", "mpy-x64", "mpy-armhf"])
def test_tls_with_a_verified_server_and_a_device_that_says_who_it_is(name, tmp_path, certificates):
    port = free_port()
    with mosquitto(tmp_path, port, *tls_lines(certificates), "require_certificate true"):
        tls = {which: f"{certificates}/{file}" for which, file in (("ca", "ca.pem"), ("cert", "device.pem"))}
        tls["key"] = f"{certificates}/device.key"
        report = report_of(publisher(name, port, 50, host="localhost", tls=tls))
        assert report["all"] and report["acked"] == 200, report
        del tls["cert"]
        report = report_of(publisher(name, port, 1, host="localhost", tls=tls, failures=1))
        assert not report["all"], "a device without a certificate"


@pytest.mark.parametrize("name", ["cpython", "mpy-x64", "mpy-armhf"])
@pytest.mark.parametrize("wrong", [{"ca": "strange.pem"}, {"name": "elsewhere"}])
def test_a_server_that_is_not_the_right_one_hears_nothing(name, wrong, tmp_path, certificates):
    port = free_port()
    with mosquitto(tmp_path, port, *tls_lines(certificates)):
        tls = {"ca": "ca.pem", **wrong}
        tls["ca"] = f"{certificates}/{tls['ca']}"
        report = report_of(publisher(name, port, 1, threads=1, host="localhost", tls=tls, failures=1))
        assert not report["all"] and report["links"] == 0 and report["failures"] > 0, report
        assert "ertificate" in report["last_error"] or "CERTIFICATE" in report["last_error"], report


def test_pem_der_bytes_and_files_are_the_same_to_tls(certificates):
    pem = (certificates / "ca.pem").read_bytes()
    openssl(certificates, "x509", "-in", "ca.pem", "-outform", "der", "-out", "ca.der")
    der = (certificates / "ca.der").read_bytes()
    from bourn.device.secure import ders

    assert ders(pem) == ders(der) == ders(str(certificates / "ca.pem")) == ders(b"# why\r\n" + pem) == [der]
    assert ders(pem + pem) == [der, der]
    for good in (pem, der):
        Tls(ca=good)
    with pytest.raises(OSError):
        Tls(ca=b"nonsense")


# -- passwords, sessions, wills


def test_user_and_password(tmp_path):
    port = free_port()
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "me", "secret"], check=True, capture_output=True)
    with mosquitto(tmp_path, port, *KEEP_USER, "allow_anonymous false", f"password_file {passwords}"):
        for password, there in (("secret", True), ("wrong", False)):
            options = {"user": "me", "password": password}
            report = report_of(publisher("cpython", port, 2, options=options, **({} if there else {"failures": 1})))
            assert report["all"] is there
            assert "secret" not in str(report) and "wrong" not in str(report)


@pytest.mark.parametrize("broker", [mosquitto, nats_server])
def test_messages_wait_for_a_client_that_the_broker_remembers(broker, tmp_path):
    port = free_port()
    with broker(tmp_path, port):
        hearing = Hearing(port)
        hearing.until(hearing.client.ready)
        hearing.client.close()
        talking = Client("127.0.0.1", port)
        for i in range(10):
            talking.publish("t/a", str(i))
        assert talking.drain(LIMIT_S * 1000)
        again = Hearing(port)
        again.until(lambda: len(again.got) == 10)
        assert again.got == [str(i) for i in range(10)]
        again.client.close()
        talking.close()


@pytest.mark.parametrize("broker", [mosquitto, nats_server])
def test_the_will_is_published_when_a_client_is_gone_and_not_when_it_said_good_bye(broker, tmp_path):
    port = free_port()
    with broker(tmp_path, port):
        hearing = Hearing(port)
        hearing.until(hearing.client.ready)
        for goes, heard in (("close", []), ("vanish", ["gone"])):
            client = Client("127.0.0.1", port, will=("t/will", "gone", 1, False))
            hearing.until(lambda: client.step(1) or client.state == "up")
            if goes == "close":
                client.close()
            else:
                client._socket.close()
            hearing.client.publish("t/mark", goes)
            hearing.until(lambda: goes in hearing.got and len(hearing.got) > len(heard))
            hearing.got.remove(goes)
            assert hearing.got == heard
        hearing.client.close()


@pytest.mark.parametrize("name", ["cpython", "mpy-x64", "mpy-armhf"])
def test_the_example_does_what_the_page_says(name, tmp_path):
    port = free_port()
    with mosquitto(tmp_path, port):
        process = started(name, ROOT / "examples" / "mqtt_sensor.py", "127.0.0.1", str(port))
        out, _ = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0 and out.strip() in (ROOT / "docs" / "mqtt.md").read_text(), out
        assert out.strip() == "sent 3 heard [1, 2, 3]"
