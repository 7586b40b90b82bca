"""franz-go: go/franz runs all scenarios in one process."""
import pytest

import programs

programs.need_go()
pytestmark = pytest.mark.nightly

SCENARIOS = [
    *programs.RECORDS,
    *programs.ACKS,
    "idempotent_producer_keeps_order",
    "group_of_two_restarts_from_the_commit",
    "eager_group_of_two_restarts_from_the_commit",
    "consumer_protocol_group_of_two_restarts_from_the_commit",
    "consumer_protocol_subscribes_by_expression",
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
    "admin_transactions",
]


@pytest.fixture(scope="module")
def lines(bootstrap):
    return programs.run_go("franz", bootstrap)


@pytest.mark.parametrize("name", SCENARIOS)
def test_franz(lines, name):
    programs.expect_pass(lines, name)
