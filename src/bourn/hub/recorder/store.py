"""Where recordings go, and how it is proved that one is there: `s3://BUCKET/PREFIX`, `gs://`, `az://`, `file:FOLDER`.

By obstore (extra `record`); `buckets.py` says where keys come from. `?endpoint=` names another server of the kind,
`?region=` its region (s3), `?timeout_s=` how long one request may take (default 120).
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from bourn.hub.buckets import Bucket, line_of, split_url
from bourn.hub.repositories.address import number_of

CONNECT_S = 10
TIMEOUT_S = 120  # of one request: a part over a slow link takes a while
PART_BYTES = 8 << 20  # of a large file: one request each; S3 wants at least 5 MiB, and at most 10,000 parts
MOST_PARTS = 9_000
ASK_S = 10  # for an answer's headers


class Failure(Exception):
    """An upload did not succeed. `permanent`: waiting a little will not help; `asked_s`: the store's Retry-After."""

    def __init__(self, text: str, permanent: bool = False, asked_s: float | None = None, alone: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent
        self.asked_s = asked_s
        self.alone = alone  # it concerns this file only: the store answers


class Sums:
    """What an object of these bytes must be like: its length, SHA-256, MD5, and the ETag of S3's two ways to upload."""

    def __init__(self, part_bytes: int) -> None:
        self.bytes = 0
        self._part_bytes = part_bytes
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._parts: list[bytes] = []
        self._part = hashlib.md5(usedforsecurity=False)
        self._in_part = 0

    def update(self, data: bytes) -> None:
        """The next bytes."""
        self.bytes += len(data)
        self._sha256.update(data)
        self._md5.update(data)
        view = memoryview(data)
        while view:
            piece = view[: self._part_bytes - self._in_part]
            self._part.update(piece)
            self._in_part += len(piece)
            view = view[len(piece) :]
            if self._in_part == self._part_bytes:
                self._end_part()

    @property
    def sha256(self) -> str:
        """Of all bytes."""
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        """Of all bytes, as HTTP's Content-MD5 spells it."""
        return base64.b64encode(self._md5.digest()).decode()

    def prove(self, etag: str | None) -> bool:
        """Whether an ETag is a sum of these bytes, and theirs.

        False says nothing: S3 with a key of KMS and Google's objects of parts have ETags that only look like sums.
        """
        plain = (etag or "").strip('"').lower()
        if plain == self._md5.hexdigest():
            return True
        if self._in_part:
            self._end_part()
        joined = hashlib.md5(b"".join(self._parts), usedforsecurity=False).hexdigest()
        return plain == f"{joined}-{len(self._parts)}"

    def _end_part(self) -> None:
        self._parts.append(self._part.digest())
        self._part, self._in_part = hashlib.md5(usedforsecurity=False), 0


class ObjectStore:
    """Where recordings go. Every method raises Failure where it did not succeed."""

    def __init__(self, url: str, part_bytes: int = PART_BYTES) -> None:
        head, options = split_url(url, ("timeout_s",))
        self.url = head
        self._part_bytes = part_bytes
        timeout_s = number_of(options, "timeout_s", TIMEOUT_S, 1, 86400)
        try:
            if head.startswith("file:"):
                self._bucket = Bucket.of_folder(head.removeprefix("file:").removeprefix("//"), "record")
            else:
                # No tries of its own: the uploader's are counted, persisted and bounded by budget and bandwidth.
                self._bucket = Bucket(head, options, "record", timeout_s, min(CONNECT_S, timeout_s), 0, timeout_s)
        except (ValueError, OSError) as e:
            raise ValueError(f"{head}: {line_of(e)}; use s3://BUCKET/PREFIX, gs://, az:// or file:FOLDER") from None
        self._obstore, self._store = self._bucket.obstore, self._bucket.store
        self._errors = self._bucket.errors

    def upload(self, path: str, name: str, paced: Callable[[int], None], sha256: str, read_back: bool) -> str | None:
        """Send the file at `path` as the object `name` and look whether it is there, whole; its ETag.

        `paced(n)` is called before every n bytes and may wait. What is there already under the name is replaced. The
        length is compared, and the ETag where it is a sum of the bytes, or the sum that the store tells. Where neither
        proves it (or with `read_back`), the object is read and hashed.
        """
        size = os.stat(path).st_size
        part_bytes = max(self._part_bytes, -(-size // MOST_PARTS))
        sums = Sums(part_bytes)
        with open(path, "rb") as file:
            try:
                if size <= part_bytes:
                    data = file.read()
                    sums.update(data)
                    paced(len(data))
                    self._obstore.put(self._store, name, data, use_multipart=False)
                else:
                    parts = _parts(file, part_bytes, sums, paced)
                    self._obstore.put(
                        self._store, name, parts, use_multipart=True, chunk_size=part_bytes, max_concurrency=1
                    )
            except self._errors as e:
                raise self._failure(e, name) from None
        if sums.sha256 != sha256:
            raise Failure(f"{path} has changed on the disk: its sha256 is not the one of when it was made", alone=True)
        return self._verified(name, sums, read_back)

    def abort_unfinished(self, name: str, epoch: str) -> int | None:
        """Abort uploads in parts that were cut short, of the recording of that name and epoch, while none is under way.

        How many; None where this cannot be done: a store that is not S3's, or credentials that are not in the
        environment.
        """
        if self._bucket.scheme != "s3" or not os.environ.get("AWS_SECRET_ACCESS_KEY"):
            return None
        from bourn.hub.recorder.unfinished import Unfinished

        prefix = f"{urlsplit(self.url).path.strip('/')}/{name}/".lstrip("/")
        probe = f"{name}/-"
        try:
            signed = self._obstore.sign(self._store, "GET", probe, timedelta(minutes=5))
            unfinished = Unfinished(signed, f"{prefix}-")
            return unfinished.abort(prefix, epoch) if unfinished.possible else None
        except (*self._errors, http.client.HTTPException, ValueError) as e:
            raise Failure(line_of(e), alone=True) from None

    def _verified(self, name: str, sums: Sums, read_back: bool) -> str | None:
        try:
            there = self._obstore.head(self._store, name)
        except self._bucket.not_found:
            raise Failure("it was accepted, and is not there", alone=True) from None
        except self._errors as e:
            raise self._failure(e, name) from None
        etag: str | None = there.get("e_tag")
        if there["size"] != sums.bytes:
            raise Failure(f"it was accepted, and has {there['size']} bytes instead of {sums.bytes}", alone=True)
        proved = not read_back and (sums.prove(etag) or self._told(name) == sums.md5)
        if not proved and self._sum(name) != sums.sha256:
            raise Failure("it was accepted, and its checksum is not that of the file", alone=True)
        return etag

    def _told(self, name: str) -> str | None:
        """The MD5 that Azure has made of a blob that came in one piece; its ETags are none."""
        answer = self._asked(name) if self._bucket.scheme == "az" else None
        return answer[1].get("Content-MD5") if answer and answer[0] == 200 else None

    def _sum(self, name: str) -> str:
        """SHA-256 of what is there."""
        seen = hashlib.sha256()
        try:
            for block in self._obstore.get(self._store, name).stream(min_chunk_size=1 << 20):
                seen.update(block)
        except self._errors as e:
            raise self._failure(e, name) from None
        return seen.hexdigest()

    def _failure(self, e: BaseException, name: str) -> Failure:
        """What went wrong, as the uploader has to know it."""
        text = line_of(e)
        found = re.search(r"status(?: code)?:? \(?(\d{3})", text)
        status = int(found[1]) if found else 0
        lasting = (*self._bucket.refused, *self._bucket.not_found)
        permanent = isinstance(e, lasting) or (400 <= status < 500 and status not in (408, 409, 425, 429))
        busy = status in (429, 503) or re.search(r"\b(429|503)\b", text)
        answer = self._asked(name) if busy else None
        asked_s = retry_after(answer[1].get("Retry-After")) if answer and answer[0] in (429, 503) else None
        return Failure(text, permanent, asked_s)

    def _asked(self, name: str) -> tuple[int, Message] | None:
        """Status and headers of an object: obstore keeps them to itself, so the store is asked by a signed URL.

        None where that cannot be done: no server, or credentials that cannot sign.
        """
        if self._bucket.scheme == "file":
            return None
        method = "GET" if self._bucket.scheme == "az" else "HEAD"  # Azure signs what may be done: reading
        try:
            address = urlsplit(self._obstore.sign(self._store, method, name, timedelta(minutes=5)))
            kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
            link = kind(address.hostname or "", address.port, timeout=ASK_S)
            try:
                link.request("HEAD", f"{address.path}?{address.query}")
                answer = link.getresponse()
                return answer.status, answer.headers
            finally:
                link.close()
        except (*self._errors, http.client.HTTPException):
            return None


def retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After header, which is a number of them or a date; None where it is neither."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _parts(file: Any, size: int, sums: Sums, paced: Callable[[int], None]) -> Iterator[bytes]:
    while part := file.read(size):
        sums.update(part)
        paced(len(part))
        yield part
