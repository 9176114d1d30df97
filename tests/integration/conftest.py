"""Fixtures shared by the integration tests."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import places                                                # noqa: E402
from servers import (Nginx, Postgres, Redis, need_data,       # noqa: E402
                     sccctl, shared)
from store import load_sample, snapshot                       # noqa: E402


@pytest.fixture(scope="session")
def real_store():
    """Data directory of a stopped store with the real places in it, for
    Postgres(template=...)."""
    files = [need_data(name) for name in places.REAL]

    def make():
        with Postgres() as pg:
            sccctl("init", pg=pg)
            sccctl("import", *files, pg=pg)
            c = pg.connect()
            c.autocommit = True
            c.cursor().execute("VACUUM ANALYZE")
            c.close()
        return pg.data
    return shared("real_store", make)


@pytest.fixture(scope="session")
def sample_store():
    """The same with 4,000 places of the generator."""
    def make():
        with Postgres() as pg:
            sccctl("init", pg=pg)
            load_sample(pg, 4000, 99)
        return pg.data
    return shared("sample_store", make)


@pytest.fixture(scope="session")
def truth(sample_store):
    """What each of its cells holds, until a test changes rows."""
    with Postgres(template=sample_store) as pg:
        return snapshot(pg)


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
