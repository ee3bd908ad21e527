"""TLS of the device's side against servers that are not as they should be, on every interpreter."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import interpreters  # noqa: E402 - of tools/
from bourn.device.secure import Tls, ders  # noqa: E402 - after the path

LANES = ["cpython", "mpy-x64", "mpy-armhf"]
MANY = 160_000  # bytes: more than the buffers between two sockets hold
DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC)


def certificate(folder: Path, name: str, begin: datetime.datetime, end: datetime.datetime, host: str) -> None:
    """NAME.pem and NAME.key, signed by ca.pem, which is made with the first."""
    if not (folder / "ca.pem").exists():
        authority = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        made = (
            x509.CertificateBuilder(subject, subject, authority.public_key(), 1, NOW - 20 * DAY, NOW + 20 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(authority, hashes.SHA256())
        )
        (folder / "ca.pem").write_bytes(made.public_bytes(Encoding.PEM))
        certificate.authority = (authority, subject)  # type: ignore[attr-defined] # of this run of the module
    authority, issuer = certificate.authority  # type: ignore[attr-defined] # the same
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), begin, end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(authority, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (folder / f"{name}.key").write_bytes(private)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority's certificate, and servers': a good one, and those that are not."""
    folder = tmp_path_factory.mktemp("certificates")
    certificate(folder, "good", NOW - DAY, NOW + DAY, "localhost")
    certificate(folder, "expired", NOW - 10 * DAY, NOW - DAY, "localhost")
    certificate(folder, "early", NOW + DAY, NOW + 10 * DAY, "localhost")
    certificate(folder, "elsewhere", NOW - DAY, NOW + DAY, "elsewhere")
    return folder


@contextlib.contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port; `serve` gets each connection, in a thread, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def work() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # closed
                    return
                with connection, contextlib.suppress(OSError):  # what the client thinks of it is the test's matter
                    connection.settimeout(5)
                    serve(connection)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(10)


def speaks(folder: Path, name: str, asks: bool = False) -> Callable[[socket.socket], None]:
    """What serves TLS with that certificate, and answers "welcome"; `asks` who comes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            if secured.recv(100):
                secured.sendall(b"welcome")
                secured.recv(100)

    return serve


def cut_after(folder: Path, n: int) -> Callable[[socket.socket], None]:
    """What serves TLS, and hangs up when it has said `n` bytes of its handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "good.pem", folder / "good.key")

    def serve(connection: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secured = context.wrap_bio(incoming, outgoing, server_side=True)
        left = n
        while left:
            with contextlib.suppress(ssl.SSLWantReadError):
                secured.do_handshake()
                return
            data = outgoing.read()[:left]
            connection.sendall(data)
            left -= len(data)
            if left:
                heard = connection.recv(4096)
                if not heard:
                    return  # whoever dialled has hung up
                incoming.write(heard)

    return serve


def dials(name: str, *wanted: tuple[int, dict[str, str]], many: int = 0) -> list[str]:
    """What the device's side on that interpreter has to say of these (port, what it trusts); it leaves nothing open."""
    found = interpreters.lanes(get=False)[name]
    if found["reason"]:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs the lane {name}: {found['reason']}")
        pytest.skip(found["reason"])
    told = json.dumps(
        {
            "host": "localhost",
            "limit_s": 5,
            "dials": [{"port": port, "tls": tls, "bytes": many} for port, tls in wanted],
        }
    )
    pieces = [told[i : i + 200] for i in range(0, len(told), 200)]  # of more than 255 MicroPython's unix port dies
    done = subprocess.run(
        [*found["command"], str(HERE / "tls_dialler.py"), *pieces],
        env=dict(os.environ, MICROPYPATH=f"{ROOT}/src:.frozen", PYTHONPATH=str(ROOT / "src")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *said, left_open = [json.loads(line) for line in done.stdout.splitlines()]
    assert left_open == 0
    return said


@pytest.mark.parametrize("lane", LANES)
def test_dates_and_names_of_certificates(lane: str, certificates: Path) -> None:
    with contextlib.ExitStack() as stack:
        names = ("good", "expired", "early", "elsewhere")
        ports = [stack.enter_context(server(speaks(certificates, name))) for name in names]
        ca = {"ca": f"{certificates}/ca.pem"}
        good, *bad = dials(lane, *[(port, ca) for port in ports])
        (renamed,) = dials(lane, (ports[3], {**ca, "name": "elsewhere"}))
    assert good == renamed == "welcome"
    for name, said in zip(names[1:], bad, strict=True):
        assert said.startswith("OSError") and "certificate" in said.lower(), (name, said)


@pytest.mark.parametrize("lane", LANES)
def test_more_than_fits_into_one_write_arrives_as_it_was(lane: str, certificates: Path) -> None:
    """A server that reads slowly: what a write has not taken is offered again, and waited for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "good.pem", certificates / "good.key")
    expected = b"".join(b"%07d " % n for n in range(MANY // 8))

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            heard = b""
            while len(heard) < MANY:
                data = secured.recv(3000)
                if not data:
                    return
                heard += data
            secured.sendall(b"all of it" if heard == expected else b"something else")
            secured.recv(100)

    with server(serve) as port:
        assert dials(lane, (port, {"ca": f"{certificates}/ca.pem"}), many=MANY) == ["all of it"]


@pytest.mark.parametrize("lane", LANES)
def test_a_handshake_that_ends_in_the_middle(lane: str, certificates: Path) -> None:
    with contextlib.ExitStack() as stack:
        cuts = (0, 1, 5, 60, 200, 600)
        ports = [stack.enter_context(server(cut_after(certificates, n))) for n in cuts]
        ports.append(stack.enter_context(server(lambda s: s.sendall(b"HTTP/1.0 400 what?\r\n\r\n"))))
        said = dials(lane, *[(port, {"ca": f"{certificates}/ca.pem"}) for port in ports])
    for cut, one in zip((*cuts, "no TLS"), said, strict=True):
        assert one == "end" or one.startswith("OSError"), (cut, one)


@pytest.mark.parametrize("lane", LANES)
def test_a_device_says_who_it_is_by_a_key_as_openssl_writes_it(lane: str, certificates: Path) -> None:
    """With the parameters of the curve before the key, or certificate and key in one file."""
    key = (certificates / "good.key").read_text()
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    (certificates / "curve.key").write_text(parameters + key)
    (certificates / "both.pem").write_text((certificates / "good.pem").read_text() + key)
    ca = {"ca": f"{certificates}/ca.pem"}
    chain = {**ca, "cert": f"{certificates}/good.pem", "key": f"{certificates}/curve.key"}
    with server(speaks(certificates, "good", asks=True)) as port:
        said = dials(lane, (port, chain), (port, {**ca, "cert": f"{certificates}/both.pem"}), (port, ca))
    assert said[:2] == ["welcome", "welcome"] and said[2] != "welcome", said


@pytest.mark.parametrize("lane", LANES)
def test_a_file_that_is_torn_or_empty_is_told(lane: str, certificates: Path) -> None:
    pem = (certificates / "ca.pem").read_bytes()
    for name, data in (
        ("torn", pem[: len(pem) // 2]),
        ("empty", b""),
        ("other", b"no PEM"),
        ("half", pem[:70] + pem[-30:]),
    ):
        (certificates / f"{name}.pem").write_bytes(data)
    names = ("torn", "empty", "other", "half", "nowhere")
    good = f"{certificates}/good.pem"
    wanted = [(1, {"ca": f"{certificates}/{name}.pem"}) for name in names]
    wanted.append((1, {"ca": good, "cert": good, "key": f"{certificates}/torn.pem"}))
    said = dials(lane, *wanted)
    for name, one in zip((*names, "a key"), said, strict=True):
        assert one.startswith(("ValueError", "OSError")) and "refused" not in one.lower(), (name, one)
        assert name != "torn" or "torn.pem" in one, one


def test_what_is_in_a_file_of_certificates(certificates: Path) -> None:
    pem = (certificates / "ca.pem").read_bytes()
    (one,) = ders(pem)
    assert ders(b"# ours\n" + pem + b"\n" + pem.replace(b"\n", b"\r\n")) == [one, one]
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert ders(parameters + pem) == ders(pem + parameters) == ders(pem + b"-----END CERTIFICATE-----\n") == [one]
    with pytest.raises(ValueError, match="no whole certificate or key in the PEM"):
        Tls(ca=pem[:200])
