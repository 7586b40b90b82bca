"""sarama: go/sarama runs all scenarios in one process."""
import pytest

import programs

programs.need_go()
pytestmark = pytest.mark.nightly

SCENARIOS = [
    *programs.RECORDS,
    *programs.ACKS,
    "idempotent_producer_keeps_order",
    "group_of_two_restarts_from_the_commit",
    "offsets_by_time",
    "transactions_committed_and_aborted",
    "transaction_carries_offsets",
    "record_of_2_mb_is_too_large_and_the_connection_lives_on",
    "unknown_topic_is_refused",
    "admin_topics",
    "admin_configs",
    "admin_cluster",
    "admin_delete_records",
    "admin_groups",
    "admin_reassignment",
    "admin_quotas",
]


@pytest.fixture(scope="module")
def lines(bootstrap):
    return programs.run_go("sarama", bootstrap)


@pytest.mark.parametrize("name", SCENARIOS)
def test_sarama(lines, name):
    programs.expect_pass(lines, name)
