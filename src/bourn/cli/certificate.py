"""`bourn certificate`: a certificate authority of one's own, and a certificate for the hub that it vouches for.

P-256 and SHA-256: what the smallest TLS library on a board can verify.
"""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from bourn.cli.config import ConfigError

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as e:
    raise ConfigError("this needs the package cryptography; install it: pip install 'bourn[tls]'") from e

CA_DAYS = 3650  # sensors carry it: replacing it means visiting all of them
HUB_DAYS = 825  # the longest that common clients accept
SKEW = timedelta(days=1)  # a board's clock may be behind ours


class CertificateError(ConfigError):
    """No certificate can be made; the text says why and what to do."""


def print_certificate(names: list[str], folder: str) -> None:
    """Make it, and say what to do with which file. CertificateError."""
    ca, ca_key, cert, key = make_certificate(names, folder)
    sys.stdout.write(
        f"the hub:     bourn hub --listen 'tls://0.0.0.0:7443?cert={cert}&key={key}'\n"
        f"each sensor: bourn sensors --hub 'tls://{names[0]}:7443?ca={os.path.basename(ca)}' with a copy of {ca}\n"
        f"keep {ca_key} to yourself: who has it can pass for the hub\n"
    )


def make_certificate(names: list[str], folder: str) -> list[str]:
    """Write hub.pem and hub.key for `names` (hosts or addresses) into `folder`, and ca.pem and ca.key unless they are
    there; returns the paths. CertificateError.
    """
    alternatives = [_alternative(name) for name in names]
    ca_pem, ca_key, hub_pem, hub_key = [
        os.path.normpath(os.path.join(folder, n)) for n in ("ca.pem", "ca.key", "hub.pem", "hub.key")
    ]
    try:
        os.makedirs(folder, exist_ok=True)
        if os.path.exists(ca_key):
            authority, authority_key = _load(ca_pem, ca_key)
        else:
            authority_key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bourn certificate authority")])
            builder = _dated(name, name, CA_DAYS).add_extension(x509.BasicConstraints(True, 0), critical=True)
            builder = builder.add_extension(_usage(keyCertSign=True), critical=True)
            authority = _sign(builder, authority_key, authority_key)
            _write(ca_key, authority_key)
            _write(ca_pem, authority)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        builder = _dated(subject, authority.subject, HUB_DAYS).add_extension(x509.BasicConstraints(False, None), True)
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        builder = builder.add_extension(_usage(), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        _write(hub_key, key)
        _write(hub_pem, _sign(builder, key, authority_key))
    except OSError as e:
        raise CertificateError(f"{e.filename or folder} cannot be used: {e.strerror}; choose another --out") from e
    return [ca_pem, ca_key, hub_pem, hub_key]


def _load(pem: str, key: str) -> tuple[Any, Any]:

    try:
        with open(pem, "rb") as held, open(key, "rb") as held_key:
            return x509.load_pem_x509_certificate(held.read()), load_pem_private_key(held_key.read(), None)
    except ValueError as e:
        raise CertificateError(f"{pem} and {key} are no certificate authority; move them away to make a new one") from e


def _dated(subject: x509.Name, issuer: x509.Name, days: int) -> x509.CertificateBuilder:

    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    return (
        builder.serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _sign(builder: x509.CertificateBuilder, key: Any, authority_key: Any) -> Any:

    public = key.public_key()
    builder = builder.public_key(public)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return builder.add_extension(authority, critical=False).sign(authority_key, hashes.SHA256())


def _usage(**allowed: bool) -> Any:

    signs = allowed.get("keyCertSign", False)
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> Any:

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?", name):
        raise CertificateError(f"{name!r} is neither a host's name nor an address")
    return x509.DNSName(name)


def _write(path: str, thing: Any) -> None:
    """A certificate as everyone may read it, a key as its owner alone may."""

    if hasattr(thing, "private_bytes"):
        body, mode = thing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600
    else:
        body, mode = thing.public_bytes(Encoding.PEM), 0o644
    beside = path + ".new"
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
