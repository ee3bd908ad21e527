"""Asking the hub that is running: found by its journal's control file, or by `--hub-url` and `--token-file`.

    hub = find_hub(journal, hub_url, token_file)
    hub.get("/api/status")            -> what the answer's JSON holds
    hub.post("/api/...", {...}), hub.delete("/api/...")

Whatever is wrong is an ApiError whose text says what to do.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from bourn.hub.control_file import control_path, read_control

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse
    from ssl import SSLContext

TIMEOUT_S = 10.0  # of one answer: a hub's loop is never busy for that long
ANSWER_BYTES = 64 << 20  # of one answer: a snapshot of 1000 sensors with all their points has 20 MB

HubJournal = Annotated[str, typer.Option("--journal", help="The journal of the hub that is asked.")]
HubUrl = Annotated[
    str | None, typer.Option("--hub-url", help="Ask the hub at this address, like http://127.0.0.1:8080.")
]
TokenFile = Annotated[
    str | None, typer.Option("--token-file", help="The file that holds its token, for --hub-url.", metavar="FILE")
]


class ApiError(Exception):
    """The hub could not be asked, or refused; the text says why and what to do."""


class Api:
    """The API of the hub at `url`; every request is a connection of its own. `whence` says where both came from."""

    def __init__(self, url: str, token: str, whence: str, start: str, certificate: str | None = None) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if port == -1 or parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ApiError(f"{url!r} is no hub's address; write it like http://127.0.0.1:8080")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._https = parts.scheme == "https"
        self._certificate = certificate
        self._host = parts.hostname
        self._port = port
        self._token = token
        self._whence = whence
        self._start = start

    def get(self, path: str) -> Any:
        """The JSON of the answer."""
        return self._json("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        """The JSON of the answer to a request that changes something."""
        return self._json("POST", path, body)

    def delete(self, path: str) -> Any:
        """The JSON of the answer to a request that takes something away."""
        return self._json("DELETE", path, None)

    @contextlib.contextmanager
    def stream(self, path: str) -> Iterator[HTTPResponse]:
        """An answer that is read while it comes (events)."""
        from http.client import HTTPException

        connection, answer = self._ask("GET", path, None)
        try:
            yield answer
        except (OSError, HTTPException) as e:
            raise ApiError(f"the hub at {self.url} went away; {self._start}") from e
        finally:
            connection.close()

    @property
    def page(self) -> str:
        """The live page's URL, token included: for the terminal of whoever may ask, and for nobody else."""
        return f"{self.url}/?token={self._token}"

    def _json(self, method: str, path: str, body: Any) -> Any:
        from http.client import HTTPException

        connection, answer = self._ask(method, path, body)
        try:
            text = answer.read(ANSWER_BYTES)
            return json.loads(text) if text else None
        except (OSError, HTTPException) as e:
            raise ApiError(f"the hub at {self.url} went away while it answered; {self._start}") from e
        except ValueError as e:
            raise ApiError(f"what answers at {self.url} is no hub of Bourn; {self._whence} may be old") from e
        finally:
            connection.close()

    def _ask(self, method: str, path: str, body: Any) -> tuple[HTTPConnection, HTTPResponse]:
        from http.client import HTTPConnection, HTTPException, HTTPSConnection  # slow to load, and asked for seldom

        connection: HTTPConnection
        if self._https:
            trust = _trust(self._certificate)
            connection = HTTPSConnection(self._host, self._port, timeout=TIMEOUT_S, context=trust)
        else:
            connection = HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        headers = {"authorization": f"Bearer {self._token}"}
        if body is not None:
            headers["content-type"] = "application/json"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            if answer.status < 300:
                return connection, answer
            said = answer.read(2000).decode(errors="replace").strip()
        except TimeoutError as e:
            connection.close()
            raise ApiError(f"the hub at {self.url} did not answer within {TIMEOUT_S:.0f} s; ask again") from e
        except (ConnectionRefusedError, ConnectionResetError) as e:
            connection.close()
            raise ApiError(f"no hub is running at {self.url}; {self._start}") from e
        except socket.gaierror as e:
            connection.close()
            raise ApiError(f"{self._host} is no host that is known here ({e.strerror}); check --hub-url") from e
        except HTTPException as e:
            connection.close()
            raise ApiError(f"what answers at {self.url} is no hub of Bourn; {self._whence} may be old") from e
        except OSError as e:
            connection.close()
            raise ApiError(f"the hub at {self.url} cannot be asked: {e.strerror or e}; check --hub-url") from e
        connection.close()
        if answer.status == 401:
            raise ApiError(f"the hub at {self.url} refuses the token of {self._whence}; it has another one now")
        raise ApiError(_reason(said) or f"the hub at {self.url} answered {answer.status} to {path}")


def find_hub(journal: str, hub_url: str | None = None, token_file: str | None = None) -> Api:
    """The hub that writes `journal`, or the one at `hub_url` with the token that `token_file` holds."""
    start = f"start one: bourn hub --journal {journal}"
    if hub_url is not None:
        if token_file is None:
            raise ApiError("--hub-url needs --token-file too: a file with the token that the hub printed in its URL")
        return Api(hub_url, _token(token_file), token_file, "start one there, or check --hub-url")
    path = control_path(journal)
    try:
        control = read_control(journal)
    except PermissionError as e:
        raise ApiError(f"{path} is not yours to read: ask as the user who started the hub") from e
    except OSError as e:
        raise ApiError(f"{path} cannot be read: {e.strerror}; check --journal") from e
    except ValueError as e:
        raise ApiError(str(e)) from e
    if control is None:
        raise ApiError(f"no hub is running with the journal {journal}; {start} (or name another with --journal)")
    if not _runs(control.pid):
        raise ApiError(f"the hub that wrote {journal} has died (process {control.pid}); {start}")
    if token_file is not None:
        return Api(control.url, _token(token_file), token_file, start, control.certificate)
    return Api(control.url, control.token, path, start, control.certificate)


def _trust(certificate: str | None) -> SSLContext:
    """Whom to take for the hub over https: the holder of its very certificate where that is known (the control file
    says so, and any name will do then), otherwise whom the system trusts; SSL_CERT_FILE names one's own authority.
    """
    import ssl

    try:
        trust = ssl.create_default_context(cafile=certificate)
    except OSError as e:
        raise ApiError(f"the hub's certificate {certificate} cannot be read: {e.strerror}") from e
    if certificate:
        trust.check_hostname = False
        trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return trust


def _reason(said: str) -> str:
    """What an error's body says: {"error": TEXT}, or a line of text."""
    with contextlib.suppress(ValueError):
        told = json.loads(said)
        if isinstance(told, dict) and isinstance(told.get("error"), str):
            return str(told["error"])
    return said.splitlines()[0] if said else ""


def _token(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            token = file.read(4096).strip()
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "not UTF-8"
        raise ApiError(f"--token-file {path} cannot be read: {why}") from e
    if not token or not token.isascii() or not token.isprintable():
        raise ApiError(f"--token-file {path} holds no token: put the one from the hub's URL there, on one line")
    return token


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True  # somebody else's
    return True
