"""segmentio/kafka-go: go/kafkago runs all scenarios in one process."""
import pytest

import programs

programs.need_go()
pytestmark = pytest.mark.nightly

SCENARIOS = [
    *programs.RECORDS,
    *programs.ACKS,
    "group_of_two_restarts_from_the_commit",
    "offsets_by_time",
    "transaction_carries_offsets",
    "record_of_2_mb_is_too_large_and_the_connection_lives_on",
    "unknown_topic_is_refused",
    "admin_topics",
    "admin_configs",
    "admin_cluster",
    "admin_groups",
    "admin_reassignment",
]


@pytest.fixture(scope="module")
def lines(bootstrap):
    return programs.run_go("kafkago", bootstrap)


@pytest.mark.parametrize("name", SCENARIOS)
def test_kafkago(lines, name):
    programs.expect_pass(lines, name)
