"""Clusters for tests; their nodes end with them, and what went wrong inside a node fails them."""
import pytest

from millrace_cluster import Cluster

LOG_SHOWN = 4000


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    item.stash.setdefault(FAILED, False)
    if outcome.get_result().failed:
        item.stash[FAILED] = True


FAILED = pytest.StashKey()


def clusters(folder, has_failed):
    """For a fixture: yields make(count, **settings), and fails for what went wrong inside."""
    made = []

    def make(count=3, **settings):
        cluster = Cluster(folder / f"cluster-{len(made)}", **settings)
        made.append(cluster)
        return cluster.up(count) if count else cluster

    yield make
    faults = []
    for cluster in made:
        found = cluster.faults()
        faults += found
        if found or has_failed():
            show_logs(cluster)
        cluster.end()
    assert not faults, "\n".join(faults)


@pytest.fixture
def make_cluster(request, tmp_path):
    """make_cluster(count, **settings): a running cluster; more than one may live in a test."""
    yield from clusters(tmp_path, lambda: request.node.stash.get(FAILED, False))


@pytest.fixture
def cluster(make_cluster):
    return make_cluster(3)


@pytest.fixture(scope="module")
def settings():
    """Of a file's shared nodes; a file that needs some has a fixture of this name."""
    return {}


@pytest.fixture(scope="module")
def shared_nodes(request, settings, tmp_path_factory):
    made = clusters(tmp_path_factory.mktemp("shared"), lambda: request.session.testsfailed)
    yield next(made)(3, **settings)
    for _ in made:
        pass


@pytest.fixture
def shared(shared_nodes):
    """Three nodes for the tests of a file that leave them as they found them: all up. One that
    failed may not have: then they are brought up first, so that the next one means something."""
    if any(shared_nodes.state(node) != "running" for node in shared_nodes.ids()):
        for node in shared_nodes.ids():
            if shared_nodes.state(node) == "paused":
                shared_nodes.resume(node)
        shared_nodes.run("up")
    shared_nodes.wanted_down.clear()
    return shared_nodes


def show_logs(cluster):
    for node in cluster.ids():
        print(f"\n---- the end of node {node}'s log\n{cluster.log(node)[-LOG_SHOWN:]}")
