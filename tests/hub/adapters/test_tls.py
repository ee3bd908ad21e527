"""MQTT and InfluxDB over TLS: verified unless told otherwise, an own CA accepted, another name or authority refused."""

import os
import ssl
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from servers import free_port, mosquitto

from bourn import SensorEvent
from bourn.hub.adapters.influxdb import InfluxWriter
from bourn.hub.adapters.mqtt_topic import MqttReader, MqttWriter
from bourn.testing import Recorder

WAIT_S = 20

if os.environ.get("CI") != "true":
    pytest.importorskip("paho.mqtt")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority of our own and what it has signed, one for localhost and one for another name."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    def key(name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]

    for ca in ("ca", "stranger"):
        openssl("req", "-x509", *key(ca), "-out", f"{ca}.crt", "-days", "2", "-subj", f"/CN={ca}")
    for name, host in (("good", "DNS:localhost"), ("other", "DNS:broker.example")):
        (folder / f"{name}.ext").write_text(f"subjectAltName={host}\n")
        openssl("req", "-new", *key(name), "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signed)
    for path in folder.iterdir():
        path.chmod(0o644)  # the broker may run as another user
    for parent in [folder, *folder.parents]:
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(parent.stat().st_mode | 0o011)
    return folder


@pytest.fixture
def broker(certificates, tmp_path):
    """A function that starts a broker with the certificate of that name; gives its port."""
    brokers = []

    def start(name):
        port = free_port()
        lines = [f"{word}file {certificates / name}.{end}" for word, end in (("cert", "crt"), ("key", "key"))]
        brokers.append(mosquitto(tmp_path, port, *lines))
        brokers[-1].__enter__()
        return port

    yield start
    for one in brokers:
        one.__exit__(None, None, None)


def until(condition):
    end = time.monotonic() + WAIT_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)  # for the broker; there is no clock to advance
    assert condition()


def test_mqtt_with_an_own_authority(broker, certificates):
    port, ca = broker("good"), str(certificates / "ca.crt")
    recorder = Recorder()
    reader = MqttReader("localhost", [("t", 1)], port=port, tls=ca)
    reader.connect(recorder)
    assert reader.subscribed.wait(WAIT_S), reader.last_error
    writer = MqttWriter("localhost", "t", port=port, tls=ssl.create_default_context(cafile=ca))
    for text in "abc":
        writer.on_next(text)
    writer.on_completed()
    assert (writer.sent, writer.dropped) == (3, 0)
    until(lambda: reader._observe() and len(recorder.events) == 3)
    assert [message.payload for message in recorder.events] == [b"a", b"b", b"c"]
    reader.close()


@pytest.mark.parametrize(
    ("name", "ca"),
    [("other", "ca.crt"), ("good", "stranger.crt"), ("good", None)],
    ids=["another name", "a stranger's authority", "the system's authorities"],
)
def test_mqtt_to_whom_it_cannot_trust_nothing_goes(broker, certificates, name, ca):
    port = broker(name)
    writer = MqttWriter("localhost", "t", port=port, tls=str(certificates / ca) if ca else True, close_s=0.5)
    writer.on_next("secret")
    until(lambda: writer.last_error is not None)
    assert "certificate" in writer.last_error.lower()
    writer.on_completed()
    assert (writer.sent, writer.dropped) == (0, 1)


@pytest.fixture
def influx(certificates):
    """A function that starts a server with the certificate of that name; gives its URL and what it was sent."""
    servers = []

    def start(name):
        bodies = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.crt", certificates / f"{name}.key")
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *args: None  # a handshake that the client ends
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"https://localhost:{server.server_port}", bodies

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def influx_writer(url, **options):
    writer = InfluxWriter(url, database="db", pauses_s=(0.001, 0.01), **options)
    writer.on_next(SensorEvent("lux", 1, 2))
    return writer


def test_influxdb_with_an_own_authority(influx, certificates):
    url, bodies = influx("good")
    writer = influx_writer(url, tls=ssl.create_default_context(cafile=certificates / "ca.crt"))
    writer.on_completed()
    assert bodies == [b"reading,sensor=lux val=2.0 1"] and (writer.written, writer.failures) == (1, 0)


@pytest.mark.parametrize(
    ("name", "ca"),
    [("other", "ca.crt"), ("good", "stranger.crt"), ("good", None)],
    ids=["another name", "a stranger's authority", "the system's authorities"],
)
def test_influxdb_to_whom_it_cannot_trust_nothing_goes(influx, certificates, name, ca):
    url, bodies = influx(name)
    options = {"tls": ssl.create_default_context(cafile=certificates / ca)} if ca else {}
    writer = influx_writer(url, close_s=0.5, **options)
    until(lambda: writer.failures > 1)
    assert isinstance(writer.last_error, ssl.SSLCertVerificationError)
    writer.on_completed()
    writer._thread.join(WAIT_S)
    assert not bodies and (writer.written, writer.dropped) == (0, 1)
