"""Uploads in parts that a crash or a network has cut short: S3 keeps their parts, and charges for them, for ever.

obstore neither lists nor aborts what another process began, so these two requests are made here, signed as S3 wants it
(Signature Version 4, in the query). Host, region and key are those of an address that obstore has signed; the secret
is what AWS_SECRET_ACCESS_KEY says. With other credentials (a machine's role) nothing can be done from here.

Aborted is only what has the epoch of this folder in its name: its lock says that nobody else uploads that, so the parts
are dead whatever their age; those of other devices in the same bucket are left alone.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote, urlsplit
from xml.etree import ElementTree

from bourn.hub.recorder.names import understood

ASK_S = 20  # for one answer
ANSWER_BYTES = 4 << 20  # of one answer
MOST = 1000  # uploads aborted at once; the others the next time


class Unfinished:
    """The unfinished uploads of the bucket in which `signed` is an address of the object `key`, signed by obstore.

    `possible` tells whether they can be asked for. OSError, http.client.HTTPException or ValueError where that failed.
    """

    def __init__(self, signed: str, key: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        address = urlsplit(signed)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        self._access, _, self._region, _, _ = query.get("X-Amz-Credential", "////").rsplit("/", 4)
        self._token = query.get("X-Amz-Security-Token")
        self._secret = os.environ.get("AWS_SECRET_ACCESS_KEY", "")
        self.possible = bool(self._secret) and self._access == os.environ.get("AWS_ACCESS_KEY_ID")
        self._scheme, self._host = address.scheme, address.netloc
        self._root = address.path.removesuffix(quote(key))  # of the bucket: its name may be in the path, or in the host
        self._clock = clock

    def abort(self, prefix: str, epoch: str) -> int:
        """Abort what was begun for files of that epoch, with keys that begin with `prefix`; how many."""
        told = self._ask("GET", self._root, {"uploads": "", "prefix": prefix, "max-uploads": str(MOST)})
        count = 0
        try:
            uploads = [one for one in ElementTree.fromstring(told).iter() if _local(one) == "Upload"]
        except ElementTree.ParseError as e:
            raise ValueError(f"the store's list of uploads cannot be read: {e}") from None
        for one in uploads:
            fields = {_local(part): part.text or "" for part in one}
            key = fields.get("Key", "")
            file = understood(key.rpartition("/")[2]) or understood(key.rpartition("/")[2] + ".plain")
            if key.startswith(prefix) and file is not None and file.epoch == epoch:
                self._ask("DELETE", self._root + quote(key), {"uploadId": fields.get("UploadId", "")})
                count += 1
        return count

    def _ask(self, method: str, path: str, query: dict[str, str]) -> bytes:
        kind = http.client.HTTPSConnection if self._scheme == "https" else http.client.HTTPConnection
        address = urlsplit(f"{self._scheme}://{self._host}")
        link = kind(address.hostname or "", address.port, timeout=ASK_S)
        try:
            link.request(method, f"{path}?{self.signed(method, path, query)}")
            answer = link.getresponse()
            told = answer.read(ANSWER_BYTES)
        finally:
            link.close()
        if answer.status >= 300 and not (method == "DELETE" and answer.status == 404):  # somebody else was faster
            raise OSError(f"the store answered {answer.status} to {method} of unfinished uploads")
        return told

    def signed(self, method: str, path: str, query: dict[str, str]) -> str:
        """The query of a request that is signed now, for five minutes."""
        now = self._clock().strftime("%Y%m%dT%H%M%SZ")
        scope = f"{now[:8]}/{self._region}/s3/aws4_request"
        whole = {
            **query,
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self._access}/{scope}",
            "X-Amz-Date": now,
            "X-Amz-Expires": "300",
            "X-Amz-SignedHeaders": "host",
            **({"X-Amz-Security-Token": self._token} if self._token else {}),
        }
        text = "&".join(sorted(f"{_quoted(name)}={_quoted(value)}" for name, value in whole.items()))
        request = f"{method}\n{path}\n{text}\nhost:{self._host}\n\nhost\nUNSIGNED-PAYLOAD"
        stated = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self._secret}".encode()
        for part in (now[:8], self._region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return f"{text}&X-Amz-Signature={hmac.digest(key, stated.encode(), 'sha256').hex()}"


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")


def _local(part: ElementTree.Element) -> str:
    """An element's name without its namespace."""
    return str(part.tag).rpartition("}")[2]
