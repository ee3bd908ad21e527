"""Object storage by obstore (extra `record`): `s3://BUCKET/PREFIX`, `gs://`, `az://`, `file:FOLDER`.

Keys and regions come from where the providers' own tools take them (AWS_ACCESS_KEY_ID, ...), never from the URL.
`?endpoint=` names a server that speaks S3 (MinIO, Ceph, ...), `?region=` its region, `?timeout_s=` how long one request
may take (default 120).
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from bourn.hub.repositories.address import number_of, options_of, without_secrets

CONNECT_S = 10
TIMEOUT_S = 120  # of one request: a part over a slow link takes a while
PART_BYTES = 8 << 20  # of a large file: one request each; S3 wants at least 5 MiB, and at most 10,000 parts
MOST_PARTS = 9_000
ASK_S = 10  # for a Retry-After


class Failure(Exception):
    """An upload did not succeed. `permanent`: waiting a little will not help; `asked_s`: the store's Retry-After."""

    def __init__(self, text: str, permanent: bool = False, asked_s: float | None = None, alone: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent
        self.asked_s = asked_s
        self.alone = alone  # it concerns this file only: the store answers


class Sums:
    """What an object of these bytes must be like: its length, SHA-256, and the ETag of S3's two ways to upload."""

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

    def agree(self, etag: str | None) -> bool | None:
        """Whether an ETag is that of these bytes; None where it is of a kind that cannot tell."""
        plain = (etag or "").strip('"').lower()
        if re.fullmatch(r"[0-9a-f]{32}", plain):
            return plain == self._md5.hexdigest()
        found = re.fullmatch(r"([0-9a-f]{32})-(\d+)", plain)
        if not found:
            return None
        if self._in_part:
            self._end_part()
        joined = hashlib.md5(b"".join(self._parts), usedforsecurity=False).hexdigest()
        return None if int(found[2]) != len(self._parts) else found[1] == joined

    def _end_part(self) -> None:
        self._parts.append(self._part.digest())
        self._part, self._in_part = hashlib.md5(usedforsecurity=False), 0


class ObjectStore:
    """Where recordings go. Every method raises Failure where it did not succeed."""

    def __init__(self, url: str, part_bytes: int = PART_BYTES) -> None:
        try:
            import obstore
            import obstore.exceptions
            import obstore.store
        except ImportError as e:
            raise ImportError("object stores need obstore: pip install 'bourn[record]'") from e
        if without_secrets(url) != url:
            raise ValueError("a key does not belong into the URL; set the provider's environment variables instead")
        head, options = options_of(url, ("endpoint", "region", "timeout_s"))
        self.url = head
        self._obstore = obstore
        self._wrong = obstore.exceptions
        self._part_bytes = part_bytes
        self._signs = not head.startswith("file:")
        try:
            self._store = self._opened(head, options)
        except (obstore.exceptions.BaseError, TypeError, OSError) as e:
            raise ValueError(f"{head}: {_line(e)}; use s3://BUCKET/PREFIX, gs://, az:// or file:FOLDER") from None

    def _opened(self, head: str, options: dict[str, str]) -> Any:
        if head.startswith("file:"):
            folder = os.path.abspath(head.removeprefix("file:").removeprefix("//"))
            os.makedirs(folder, exist_ok=True)
            return self._obstore.store.LocalStore(folder)
        if not head.startswith(("s3://", "gs://", "az://")):
            raise TypeError("no such kind of store")
        timeout_s = number_of(options, "timeout_s", TIMEOUT_S, 1, 86400)
        client: dict[str, Any] = {"timeout": f"{timeout_s}s", "connect_timeout": f"{min(CONNECT_S, timeout_s)}s"}
        config = {name: options[name] for name in ("endpoint", "region") if name in options}
        client["allow_http"] = config.get("endpoint", "").startswith("http://")
        # No tries of its own: the uploader's are counted, persisted and bounded by budget and bandwidth.
        retry = {"max_retries": 0, "retry_timeout": timedelta(seconds=timeout_s)}
        return self._obstore.store.from_url(head, config=config, client_options=client, retry_config=retry)

    def upload(self, path: str, name: str, paced: Callable[[int], None], sha256: str, read_back: bool) -> str | None:
        """Send the file at `path` as the object `name` and look whether it is there, whole; its ETag.

        `paced(n)` is called before every n bytes and may wait. What is there already under the name is replaced. The
        length is compared, and the ETag where it is a sum of the bytes; where it is none (or with `read_back`), the
        object is read and hashed.
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
            except (self._wrong.BaseError, OSError) as e:
                raise self._failure(e, name) from None
        if sums.sha256 != sha256:
            raise Failure(f"{path} has changed on the disk: its sha256 is not the one of when it was made", alone=True)
        return self._verified(name, sums, read_back)

    def _verified(self, name: str, sums: Sums, read_back: bool) -> str | None:
        try:
            there = self._obstore.head(self._store, name)
        except self._wrong.NotFoundError:
            raise Failure("it was accepted, and is not there", alone=True) from None
        except self._wrong.BaseError as e:
            raise self._failure(e, name) from None
        etag: str | None = there.get("e_tag")
        if there["size"] != sums.bytes:
            raise Failure(f"it was accepted, and has {there['size']} bytes instead of {sums.bytes}", alone=True)
        same = None if read_back else sums.agree(etag)
        if same is None:
            same = self._sum(name) == sums.sha256
        if not same:
            raise Failure("it was accepted, and its checksum is not that of the file", alone=True)
        return etag

    def _sum(self, name: str) -> str:
        """SHA-256 of what is there."""
        seen = hashlib.sha256()
        try:
            for block in self._obstore.get(self._store, name).stream(min_chunk_size=1 << 20):
                seen.update(block)
        except self._wrong.BaseError as e:
            raise self._failure(e, name) from None
        return seen.hexdigest()

    def _failure(self, e: BaseException, name: str) -> Failure:
        """What went wrong, as the uploader has to know it."""
        text = _line(e)
        found = re.search(r"status(?: code)?:? \(?(\d{3})", text)
        status = int(found[1]) if found else 0
        refused = (self._wrong.PermissionDeniedError, self._wrong.UnauthenticatedError, self._wrong.NotFoundError)
        permanent = isinstance(e, refused) or (400 <= status < 500 and status not in (408, 409, 425, 429))
        busy = self._signs and (status in (429, 503) or re.search(r"\b(429|503)\b", text))
        return Failure(text, permanent, self._asked(name) if busy else None)

    def _asked(self, name: str) -> float | None:
        """Seconds of the store's Retry-After: obstore keeps headers to itself, so the store is asked once more."""
        try:
            address = urlsplit(self._obstore.sign(self._store, "HEAD", name, timedelta(minutes=5)))
            kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
            link = kind(address.hostname or "", address.port, timeout=ASK_S)
            try:
                link.request("HEAD", f"{address.path}?{address.query}")
                answer = link.getresponse()
                return retry_after(answer.headers.get("Retry-After")) if answer.status in (429, 503) else None
            finally:
                link.close()
        except (OSError, http.client.HTTPException, self._wrong.BaseError):
            return None  # then the back-off's own pause holds


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


def _line(e: BaseException) -> str:
    """What the library says, without the pages of detail that follow."""
    return " ".join((str(e).strip() or type(e).__name__).split("\n\nDebug source", 1)[0].split())[:500]
