"""Fixtures of the fault tests, and what is skipped where."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from rig import seeded                                        # noqa: E402


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "quick: the half that make test runs, too")
    config.addinivalue_line(
        "markers", "lost: stores, memory and what a person does then; "
        "make faults-lost runs these")
    config.addinivalue_line(
        "markers", "offsite: the copy somewhere else; make faults-offsite "
        "runs these")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--quick"):
        return
    slow = [item for item in items if item.path.parent.samefile(HERE)
            and item.get_closest_marker("quick") is None]
    items[:] = [item for item in items if item not in slow]
    config.hook.pytest_deselected(items=slow)


@pytest.fixture
def seed(request):
    n = seeded(request.node.name)[1]
    request.node.user_properties.append(("seed", n))
    return n


def pytest_terminal_summary(terminalreporter, config):
    """Of a whole run: a seed that was green may be wanted, too."""
    if config.getoption("--quick"):
        return
    lines = [f"{report.nodeid.rpartition('::')[2]}: {n}"
             for reports in terminalreporter.stats.values()
             for report in reports
             if getattr(report, "when", "") == "call"
             for name, n in report.user_properties if name == "seed"]
    if lines:
        terminalreporter.section("seeds")
        for line in sorted(lines):
            terminalreporter.write_line(line)
