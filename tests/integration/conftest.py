"""Fixtures shared by the integration tests."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from servers import Postgres, Redis, Nginx, sccctl       # noqa: E402

@pytest.fixture(scope="module")
def pg():
    """An empty store: schema, roles and identity, nothing in it."""
    with Postgres() as server:
        sccctl("init", pg=server)
        yield server


@pytest.fixture(scope="module")
def redis():
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def nginx(pg, redis):
    with Nginx(pg, redis) as server:
        yield server
