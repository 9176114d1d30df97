"""The soak tests use the servers and clients of integration and faults."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
for name in "integration", "faults":
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), name))



def pytest_configure(config):
    config.addinivalue_line(
        "markers", "quick: the half that make test runs, too")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--quick"):
        return
    slow = [item for item in items if item.path.parent.samefile(HERE)
            and item.get_closest_marker("quick") is None]
    items[:] = [item for item in items if item not in slow]
    config.hook.pytest_deselected(items=slow)


@pytest.fixture
def seed(request):
    from rig import seeded
    return seeded(request.node.name)[1]
