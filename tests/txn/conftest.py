"""One cluster for all tests; what went wrong inside a node fails them."""
import itertools
import os
import uuid

import pytest

from millrace_cluster import Cluster

LOG_SHOWN = 4000


@pytest.fixture(scope="session")
def cluster(request, tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("txn")) as nodes:
        nodes.up(3)
        yield nodes
        faults = nodes.faults()
        if faults or request.session.testsfailed:
            for node in nodes.ids():
                print(f"\n---- the end of node {node}'s log\n{nodes.log(node)[-LOG_SHOWN:]}")
        nodes.end()
        assert not faults, "\n".join(faults)


NUMBERS = itertools.count(1)


@pytest.fixture
def name():
    """A name that no other test has."""
    return f"txn-{os.getpid()}-{uuid.uuid4().hex[:6]}-{next(NUMBERS)}"


@pytest.fixture
def topic(cluster, name):
    return cluster.create_topic(name, 2, min_insync_replicas="2")
