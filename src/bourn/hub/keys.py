"""Which sources may write, by key: a small file beside the journal, changed by `bourn keys`, read again by the hub.

    {"version": 1, "keys": [{"source": "s1", "sha256": "...", "added": "2026-01-31T12:00:00Z", "revoked": null}, ...]}

A source that has a line there must prove its key on every link, wherever it comes from; one whose key was revoked is
let in no more. A source without a line is let in only where the hub trusts everybody who can reach it: on this
machine, or with --insecure. The key itself is nowhere on the hub, only its SHA-256 (see proof.py).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from bourn import wire
from bourn.hub.natural import natural_key
from bourn.proof import KEY_BYTES, proof_fits, read_key

VERSION = 1
MAX_KEYS = 100_000  # lines of the file; it is read whole
_NOBODY = bytes(KEY_BYTES)  # compared with when there is no key: whoever asks learns nothing of who has one


class KeysError(ValueError):
    """The file of keys cannot be used; the text says why and what to do."""


class Key(msgspec.Struct):
    """What the hub knows of a source's key: its SHA-256 as hexadecimal text, and when it came and went."""

    source: str
    sha256: str
    added: str
    revoked: str | None = None


class _File(msgspec.Struct):
    version: int
    keys: list[Key]


class Keys:
    """The keys in the file `path`; none if there is no such file. KeysError."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}
        self.refresh()

    def __iter__(self) -> Iterator[Key]:
        return iter(sorted(self._keys.values(), key=lambda key: natural_key(key.source)))

    def __len__(self) -> int:
        return len(self._keys)

    def refresh(self) -> set[str]:
        """Read the file again if it has changed; the sources whose key is not what it was."""
        try:
            at = os.stat(self.path)
        except FileNotFoundError:
            seen = None
        except OSError as e:
            raise KeysError(f"{self.path} cannot be read: {e.strerror}; without it nobody's key can be checked") from e
        else:
            seen = (at.st_mtime_ns, at.st_size, at.st_ino)
        if seen == self._seen:
            return set()
        before, self._keys, self._seen = self._keys, _load(self.path) if seen else {}, seen
        return {name for name in before.keys() | self._keys.keys() if before.get(name) != self._keys.get(name)}

    def knows(self, source: str) -> bool:
        """True if `source` has a key, or had one: then it is not let in without a proof."""
        return source in self._keys

    def fits(self, proof: str, hub: str, source: str, epoch: str, nonce: str) -> bool:
        """True if `proof` was made with the key of `source`, and that was not revoked."""
        key = self._keys.get(source)
        stored = bytes.fromhex(key.sha256) if key and not key.revoked else _NOBODY
        return proof_fits(stored, proof, hub, source, epoch, nonce)

    def add(self, source: str) -> str:
        """A new key for `source`, which replaces an older one; it can be read here and never again. KeysError."""
        if not wire.source_ok(source):
            raise KeysError(f"a source's name is made of A-Z a-z 0-9 _ . - (1 to 64), not {source!r}")
        if len(self._keys) >= MAX_KEYS and source not in self._keys:
            raise KeysError(f"{self.path} holds {MAX_KEYS} keys already; revoke and remove what is not used")
        text = secrets.token_hex(KEY_BYTES)
        self._keys[source] = Key(source, hashlib.sha256(read_key(text)).hexdigest(), _now())
        self._save()
        return text

    def revoke(self, source: str) -> None:
        """Let `source` in no more. KeysError when it has no key."""
        key = self._keys.get(source)
        if key is None:
            raise KeysError(f"{source} has no key here; `bourn keys list` shows those that have")
        if key.revoked is None:
            key.revoked = _now()
            self._save()

    def _save(self) -> None:
        """Write beside, sync, rename, sync the folder: a crash leaves the old file or the new one."""
        folder = os.path.dirname(os.path.abspath(self.path))
        body = msgspec.json.format(msgspec.json.encode(_File(VERSION, list(self))), indent=1)
        try:
            handle, beside = tempfile.mkstemp(prefix=".keys-", dir=folder)  # mode 0600
        except OSError as e:
            raise KeysError(
                f"{self.path} cannot be written: {e.strerror}; it lies beside the journal: --journal"
            ) from e
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body + b"\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        except BaseException:
            os.unlink(beside)
            raise
        held = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(held)
        finally:
            os.close(held)


def _load(path: str) -> dict[str, Key]:
    try:
        if os.stat(path).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise KeysError(f"others may write {path}, so it proves nothing; say: chmod go-w {path}")
        with open(path, "rb") as file:
            held = msgspec.json.decode(file.read(), type=_File)
        if held.version > VERSION:
            raise KeysError(f"{path} was written by a newer Bourn (version {held.version}); update this one")
        for key in held.keys:
            if not wire.source_ok(key.source) or len(bytes.fromhex(key.sha256)) != KEY_BYTES:
                raise ValueError(f"the key of {key.source!r} is damaged")
    except KeysError:
        raise
    except OSError as e:
        raise KeysError(f"{path} cannot be read: {e.strerror}") from e
    except ValueError as e:
        raise KeysError(f"{path} is damaged ({e}); restore it, or remove it and add the keys again") from e
    return {key.source: key for key in held.keys}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
