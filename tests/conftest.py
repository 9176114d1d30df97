"""The figures that tests measure, printed once after the run."""

import pytest

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
