"""A cluster of its own for every test, whose nodes end with it; what went wrong inside fails it."""
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


@pytest.fixture
def make_cluster(request, tmp_path):
    """make_cluster(count, **settings): a running cluster; more than one may live in a test."""
    made = []

    def make(count=3, **settings):
        cluster = Cluster(tmp_path / f"cluster-{len(made)}", **settings)
        made.append(cluster)
        return cluster.up(count) if count else cluster

    yield make
    faults = []
    for cluster in made:
        faults += cluster.faults()
        if request.node.stash.get(FAILED, False) or faults:
            show_logs(cluster)
        cluster.down()
        faults += [f for f in cluster.faults() if " said: " in f and f not in faults]
    assert not faults, "\n".join(faults)


@pytest.fixture
def cluster(make_cluster):
    return make_cluster(3)


def show_logs(cluster):
    for node in cluster.ids():
        print(f"\n---- the end of node {node}'s log\n{cluster.log(node)[-LOG_SHOWN:]}")
