"""`<journal>.api`: how commands on the same machine find the hub that writes a journal, and prove who they are.

A JSON object {"url", "token", "pid"}, and "certificate" (a PEM file) where the hub answers over TLS; readable
by its owner only. It is there exactly as long as the hub answers at `url`; after a kill -9 it stays behind, and its
reader sees by `pid`, or by a refused connection, that it is stale.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from typing import NamedTuple

SHORTEST_TOKEN = 16  # characters: what a person makes up is guessed


class Control(NamedTuple):
    """What the file says. `url` ends without a slash and holds no token."""

    url: str
    token: str
    pid: int
    certificate: str | None = None

    def __repr__(self) -> str:  # ends up in logs
        return f"Control(url={self.url!r}, pid={self.pid})"


def control_path(journal: str) -> str:
    """The control file of the journal at that path, wherever links lead to."""
    return os.path.realpath(journal) + ".api"


def write_control(journal: str, url: str, token: str, certificate: str | None = None) -> None:
    """Put the file there, whole or not at all, mode 0600 from its first byte. OSError when it can't be written."""
    path = control_path(journal)
    handle, beside = tempfile.mkstemp(dir=os.path.dirname(path), prefix=os.path.basename(path) + ".")  # mode 0600
    try:
        with open(handle, "w", encoding="utf-8") as file:
            told = {"url": url, "token": token, "pid": os.getpid()}
            json.dump({**told, "certificate": os.path.abspath(certificate)} if certificate else told, file)
        os.replace(beside, path)
    except OSError:
        os.unlink(beside)
        raise


def read_control(journal: str) -> Control | None:
    """What the file says, also if it is stale; None where there is none. ValueError when it is no control file."""
    path = control_path(journal)
    try:
        with open(path, encoding="utf-8") as file:
            told = json.load(file)
        url, token, pid, certificate = told["url"], told["token"], told["pid"], told.get("certificate")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as e:
        raise ValueError(f"{path} is damaged ({type(e).__name__}); start the hub again") from e
    if (
        type(url) is not str
        or type(token) is not str
        or type(pid) is not int
        or not isinstance(certificate, str | None)
    ):
        raise ValueError(f"{path} is damaged; start the hub again")
    return Control(url, token, pid, certificate if isinstance(certificate, str) else None)


def remove_control(journal: str) -> None:
    """Take this process's file away; one that another hub has put there since stays."""
    try:
        control = read_control(journal)
    except (OSError, ValueError):
        control = None
    if control is not None and control.pid == os.getpid():
        os.unlink(control_path(journal))


def kept_token(path: str) -> str:
    """The token that stands in the file; where there is no file yet, a new one is put there, mode 0600.

    OSError when it can't be read or made; ValueError when what is there can't be a token, or others may read it.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        with open(path, encoding="utf-8") as file:
            token = file.read(4096).strip()
            others = os.fstat(file.fileno()).st_mode & 0o077
        if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
            what = f"a token of {SHORTEST_TOKEN} printable characters or more"
            raise ValueError(f"{path} does not hold {what}; remove it, and a new one is made") from None
        if others:
            raise ValueError(f"{path} can be read by others; chmod 600 {path}") from None
        return token
    with open(handle, "w", encoding="utf-8") as file:
        token = secrets.token_urlsafe(16)
        file.write(token + "\n")
    return token
