"""Fixtures shared by the integration tests, and the figures they print."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from servers import Postgres, Redis, Nginx, sccctl       # noqa: E402

_figures = []


@pytest.fixture
def figure(request):
    """figure("name", "value"): a line in the summary after the run."""
    def add(name, value):
        _figures.append((request.node.name, name, value))
    return add


def pytest_terminal_summary(terminalreporter):
    if not _figures:
        return
    terminalreporter.section("figures")
    for test, name, value in _figures:
        terminalreporter.write_line(f"{test}: {name}: {value}")


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
