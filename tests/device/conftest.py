"""What the tests of the device's side with real servers share."""

import os
import secrets

import pytest


@pytest.fixture
def seed() -> int:
    """BOURN_SEED where it is set, else a new one; pytest shows it with a failure."""
    value = int(os.environ.get("BOURN_SEED") or secrets.randbelow(1 << 31))
    print(f"replay with BOURN_SEED={value}")
    return value
