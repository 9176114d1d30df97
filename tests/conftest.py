"""How the tests run: which beside which, and the figures they measure,
printed once after the run.

One process or, with pytest-xdist, several: a file's tests stay together and
in order, so that servers which they share are started once.
"""

import os
import re
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "integration"))

from machine import run_dir, turn                             # noqa: E402

# The longest come first, so that no process is left with one at the end; and
# those of long tests before those that want to be alone, who must wait.
LONGEST = ["test_build", "test_apply", "test_oracle", "test_store_write",
           "test_store", "test_robust", "test_coherence", "test_ctl",
           "test_contribute", "test_contribute_faults", "test_store_read"]

# files whose tests share nothing
APART = ["test_build", "test_apply"]


def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true",
                     help="of the fault tests, only those marked quick")


# -- several processes -------------------------------------------------------


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "alone: nothing else runs meanwhile; for what is timed")
    run_dir()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    if os.environ.get("PYTEST_XDIST_WORKER"):
        items.sort(key=order)


def order(item):
    name = item.path.stem
    return (item.get_closest_marker("alone") is not None and name in APART,
            LONGEST.index(name) if name in LONGEST else len(LONGEST))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    if not os.environ.get("PYTEST_XDIST_WORKER"):
        yield
        return
    with turn(item.get_closest_marker("alone") is not None):
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return scope(nodeid)

    return Files(config, log)


def scope(nodeid):
    """What is run by one process: a file, or its half under the sanitizers,
    which has servers of its own; or a test."""
    file, _, test = nodeid.partition("::")
    if os.path.basename(file)[:-3] in APART:
        return nodeid
    return file + ("::asan" if re.search(r"\[asan\b", test) else "")


# -- figures -----------------------------------------------------------------


@pytest.fixture
def figure(request):
    """figure("name", "value"): a line in the summary after the run."""
    def add(name, value):
        request.node.user_properties.append(
            ("figure", f"{request.node.name}: {name}: {value}"))
    return add


def pytest_terminal_summary(terminalreporter):
    lines = [text for reports in terminalreporter.stats.values()
             for report in reports
             if getattr(report, "when", "") == "call"
             for name, text in report.user_properties if name == "figure"]
    if not lines:
        return
    terminalreporter.section("figures")
    for line in sorted(lines):
        terminalreporter.write_line(line)
