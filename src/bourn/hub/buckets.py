"""Object stores by obstore, as recordings and readings use them: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`,
`az://CONTAINER/PREFIX`.

Keys, accounts and regions come from where the providers' own tools take them, never from the URL:

    s3://  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, ...
    gs://  GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS (a file); GOOGLE_SKIP_SIGNATURE=true: none at all
    az://  AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, ...

`?endpoint=` names a server that speaks as the provider does: MinIO or Ceph for s3, an emulator for the others (for az
with the account as its path: http://127.0.0.1:10000/devstoreaccount1). `?region=` is for s3 only.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from bourn.hub.repositories.address import options_of, without_secrets

_ENDPOINT = {"s3": "endpoint", "gs": "base_url", "az": "endpoint"}  # what obstore calls it


def split_url(url: str, options: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """(URL without options, options): those named here and a bucket's own. ValueError."""
    if without_secrets(url) != url:
        raise ValueError("a key does not belong into the URL; set the provider's environment variables instead")
    return options_of(url, ("endpoint", "region", *options))


class Bucket:
    """A bucket, or a place below one.

    `obstore` is the library and `store` its handle; `errors` are what its calls raise, among them `not_found` and
    `refused`.
    """

    def __init__(
        self, url: str, options: dict[str, str], extra: str, timeout_s: int, connect_s: int, tries: int, tries_s: int
    ) -> None:
        """Of what `split_url` gave; up to `tries` more tries of one request within `tries_s`.

        ValueError says what is wrong with the URL; ImportError, which extra of Bourn to install.
        """
        self._load(extra)
        self.scheme, slashes, _ = url.partition("://")
        if not slashes or self.scheme not in _ENDPOINT:
            raise ValueError("there is no such kind of store")
        endpoint = options.get("endpoint", "").rstrip("/")
        config: dict[str, Any] = {_ENDPOINT[self.scheme]: endpoint} if endpoint else {}
        if "region" in options:
            if self.scheme != "s3":
                raise ValueError(f"region is an option of s3:// only, not of {self.scheme}://")
            config["region"] = options["region"]
        client = {
            "timeout": f"{timeout_s}s",
            "connect_timeout": f"{connect_s}s",
            "allow_http": endpoint.startswith("http://"),
        }
        retry = {"max_retries": tries, "retry_timeout": timedelta(seconds=tries_s)}
        make = self.obstore.store.from_url
        try:
            self.store: Any = make(url, config=config, client_options=client, retry_config=retry)
        except (self.errors, TypeError) as e:
            raise ValueError(line_of(e)) from None

    @classmethod
    def of_folder(cls, path: str, extra: str) -> Bucket:
        """A folder as a bucket, made where it is missing. OSError, ImportError."""
        bucket = cls.__new__(cls)
        bucket._load(extra)
        bucket.scheme = "file"
        os.makedirs(path, exist_ok=True)
        bucket.store = bucket.obstore.store.LocalStore(os.path.abspath(path))
        return bucket

    def _load(self, extra: str) -> None:
        try:
            import obstore
            import obstore.exceptions
            import obstore.store
        except ImportError as e:
            raise ImportError(f"object stores need obstore: pip install 'bourn[{extra}]'") from e
        self.obstore: Any = obstore
        known = obstore.exceptions
        self.errors: Any = (known.BaseError, OSError)  # some of its errors are Python's own
        self.not_found: Any = (known.NotFoundError, FileNotFoundError)
        self.refused: Any = (known.PermissionDeniedError, known.UnauthenticatedError, PermissionError)


def line_of(e: BaseException) -> str:
    """What the library says, without the pages of detail that follow."""
    return " ".join((str(e).strip() or type(e).__name__).split("\n\nDebug source", 1)[0].split())[:500]
