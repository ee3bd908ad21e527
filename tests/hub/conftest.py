"""What the hub's tests share."""

import logging
import os
import secrets
from collections.abc import Iterator

import pytest
from servers import Postgres, Timescale, azure_server, free_port, google_account, s3_server


@pytest.fixture(autouse=True)
def log_handlers() -> Iterator[None]:
    """What a command called in this process sets up for logging ends with its test, as its stream does."""
    logger = logging.getLogger("bourn")
    before, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = before
    logger.setLevel(level)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a server that speaks S3, for the session."""
    with s3_server(free_port()) as address:
        yield address


@pytest.fixture(scope="session")
def google(s3: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a server that speaks as much of Google's XML API as it shares with S3.

    obstore's client for Google speaks that API, and of the emulators that there are as packages none knows it:
    fake-gcs-server refuses its PUT, gcp-storage-emulator has neither its listing nor its uploads in parts. How Google
    differs (other ETags of what came in parts) is up to the tests.
    """
    account = tmp_path_factory.mktemp("google") / "account.json"
    google_account(account)
    os.environ["GOOGLE_SERVICE_ACCOUNT"] = str(account)
    os.environ["GOOGLE_BEARER_TOKEN"] = "test"  # else that account's would be asked for, at Google
    return s3


@pytest.fixture(scope="session")
def azure() -> Iterator[str]:
    """The address of Azurite, for the session."""
    with azure_server(free_port()) as address:
        yield address


def running(server: Postgres) -> Iterator[Postgres]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL for the session; tests take tables of their own."""
    yield from running(Postgres(tmp_path_factory.mktemp("postgres")))


@pytest.fixture(scope="session")
def timescale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The same with TimescaleDB."""
    yield from running(Timescale(tmp_path_factory.mktemp("timescale")))


@pytest.fixture
def seed() -> int:
    """BOURN_SEED where it is set, else a new one; pytest shows it with a failure."""
    value = int(os.environ.get("BOURN_SEED") or secrets.randbelow(1 << 31))
    print(f"replay with BOURN_SEED={value}")
    return value
