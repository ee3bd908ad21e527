"""`s3://BUCKET/PREFIX`, `gs://`, `az://`: batches as objects, by obstore (extra `objects`); see `buckets.py`, too."""

from __future__ import annotations

from collections.abc import Iterator

from bourn.hub.buckets import Bucket, line_of, split_url
from bourn.hub.repositories import Unreachable
from bourn.hub.repositories.batch_files import BatchFiles, form_of

ANSWER_S = 30  # of one request
CONNECT_S = 5
TRIES = 2  # more of one request, within TRIES_S; then the driver's pauses
TRIES_S = 10
PAGE_NAMES = 1000  # of one listing


class Objects:
    """A bucket as a store."""

    def __init__(self, url: str, options: dict[str, str]) -> None:
        bucket = Bucket(url, options, "objects", ANSWER_S, CONNECT_S, TRIES, TRIES_S)
        self._obstore, self._store, self._errors = bucket.obstore, bucket.store, bucket.errors

    def open(self) -> None:
        """Ask for one name: whether the store answers, and lets us in. Unreachable."""
        next(self.names(""), None)

    def put(self, name: str, data: bytes) -> None:
        """When this returns, the store says that it has it."""
        try:
            self._obstore.put(self._store, name, data, use_multipart=False)
        except self._errors as e:
            raise Unreachable(line_of(e)) from None

    def get(self, name: str) -> bytes:
        """What the object holds."""
        try:
            return bytes(self._obstore.get(self._store, name).bytes())
        except self._errors as e:
            raise Unreachable(line_of(e)) from None

    def names(self, after: str) -> Iterator[str]:
        """The objects there are, from behind `after` on, asked for page by page."""
        try:
            for page in self._obstore.list(self._store, offset=after or None, chunk_size=PAGE_NAMES):
                for item in page:
                    yield item["path"]
        except self._errors as e:
            raise Unreachable(line_of(e)) from None


def objects_in_store(url: str) -> BatchFiles:
    """The repository of such a URL. ValueError, ImportError."""
    head, options = split_url(url, ("rows", "age", "form"))
    return BatchFiles(url, Objects(head, options), form_of(options.get("form", "jsonl")), options)
