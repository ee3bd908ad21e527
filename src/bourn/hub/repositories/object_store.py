"""`s3://BUCKET/PREFIX`, `gs://`, `az://`: batches as objects, by obstore (extra `objects`).

Keys and regions come from where the providers' own tools take them (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_REGION, ...), never from the URL. `?endpoint=` names a server that speaks S3 (MinIO, Ceph, ...).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from bourn.hub.repositories import Unreachable
from bourn.hub.repositories.address import options_of, without_secrets
from bourn.hub.repositories.batch_files import BatchFiles, form_of

ANSWER_S = 30  # of one request
CONNECT_S = 5
RETRY = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}  # within one request; then the driver's pauses
PAGE_NAMES = 1000  # of one listing


class Objects:
    """A bucket as a store."""

    def __init__(self, url: str, endpoint: str | None, region: str | None) -> None:
        try:
            import obstore
            import obstore.exceptions
            import obstore.store
        except ImportError as e:
            raise ImportError("object stores need obstore: pip install 'bourn[objects]'") from e
        self._obstore = obstore
        client: dict[str, Any] = {"timeout": f"{ANSWER_S}s", "connect_timeout": f"{CONNECT_S}s"}
        config: dict[str, Any] = {}
        if endpoint:
            config["endpoint"] = endpoint
            client["allow_http"] = endpoint.startswith("http://")
        if region:
            config["region"] = region
        try:
            self._store = obstore.store.from_url(url, config=config, client_options=client, retry_config=RETRY)
        except (obstore.exceptions.BaseError, TypeError) as e:
            raise ValueError(_line(e)) from None

    def open(self) -> None:
        """Ask for one name: whether the store answers, and lets us in. Unreachable."""
        next(self.names(""), None)

    def put(self, name: str, data: bytes) -> None:
        """When this returns, the store says that it has it."""
        try:
            self._obstore.put(self._store, name, data, use_multipart=False)
        except self._obstore.exceptions.BaseError as e:
            raise Unreachable(_line(e)) from None

    def get(self, name: str) -> bytes:
        """What the object holds."""
        try:
            return bytes(self._obstore.get(self._store, name).bytes())
        except self._obstore.exceptions.BaseError as e:
            raise Unreachable(_line(e)) from None

    def names(self, after: str) -> Iterator[str]:
        """The objects there are, from behind `after` on, asked for page by page."""
        try:
            for page in self._obstore.list(self._store, offset=after or None, chunk_size=PAGE_NAMES):
                for item in page:
                    yield item["path"]
        except self._obstore.exceptions.BaseError as e:
            raise Unreachable(_line(e)) from None


def objects_in_store(url: str) -> BatchFiles:
    """The repository of such a URL. ValueError, ImportError."""
    shown = without_secrets(url)
    if shown != url:
        raise ValueError("a key does not belong into the URL; set the provider's environment variables instead")
    head, options = options_of(url, ("rows", "age", "form", "endpoint", "region"))
    store = Objects(head, options.get("endpoint"), options.get("region"))
    return BatchFiles(url, store, form_of(options.get("form", "jsonl")), options)


def _line(e: BaseException) -> str:
    """What the library says, without the pages of detail that follow."""
    return " ".join((str(e).strip() or type(e).__name__).split("\n\nDebug source", 1)[0].split())[:500]
