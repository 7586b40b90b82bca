"""kafkajs, Node's client: node/ runs all scenarios in one process."""
import os

import pytest

import programs

programs.need("node", "npm")

SCENARIOS = [
    *programs.RECORDS,
    "acks_0_delivers",
    "acks_1_delivers",
    "idempotent_producer_keeps_order",
    "group_of_two_restarts_from_the_commit",
    "offsets_by_time",
    "transactions_committed_and_aborted",
    "transaction_carries_offsets",
    "older_transactional_producer_is_fenced",
    "record_of_2_mb_is_too_large_and_the_connection_lives_on",
    "unknown_topic_is_refused",
    "admin_topics",
    "admin_configs",
    "admin_cluster",
    "admin_delete_records",
    "admin_groups",
    "admin_reassignment",
]


@pytest.fixture(scope="module")
def lines(bootstrap):
    modules = programs.prepare("node") / "node_modules"
    return programs.lines_of(["node", programs.HERE / "node" / "scenarios.js", bootstrap],
                             env={**os.environ, "NODE_PATH": str(modules)})


@pytest.mark.parametrize("name", SCENARIOS)
def test_kafkajs(lines, name):
    programs.expect_pass(lines, name)
