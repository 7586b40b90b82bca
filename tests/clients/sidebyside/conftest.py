"""Both clusters, three nodes each, for the whole session."""
import threading

import pytest

from side import Side


def pytest_addoption(parser):
    parser.addoption("--every-version", action="store_true")


@pytest.fixture(scope="session")
def sides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sides")
    ours = Side("deploy/cluster", folder / "ours", False)
    theirs = Side("tests/lib/kafka/cluster", folder / "theirs", True)
    try:
        starting = threading.Thread(target=theirs.start)
        starting.start()
        ours.start()
        starting.join()
        yield ours, theirs
    finally:
        ours.stop()
        theirs.stop()


@pytest.fixture(scope="session")
def ours(sides):
    return sides[0]


@pytest.fixture(scope="session")
def theirs(sides):
    return sides[1]
