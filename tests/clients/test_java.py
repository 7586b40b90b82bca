"""Apache Kafka's own Java client, 4.4.0 (nightly also 3.9.1): java/ runs all in one process."""
import pytest

import jvm
import programs

COMMON = [
    *programs.RECORDS,
    *programs.ACKS,
    "default_producer_is_idempotent_and_keeps_order",
    "group_of_two_restarts_from_the_commit",
    "killed_consumer_is_out_after_session_timeout",
    "consumer_that_stops_polling_is_out_after_max_poll_interval",
    "offsets_by_time",
    "record_of_2_mb_is_too_large_and_the_connection_lives_on",
    "auto_offset_reset",
    "fetch_min_bytes_waits",
    "admin_client",
    "max_block_ms_bounds_the_wait_for_an_unknown_partition",
    "connections_max_idle_ms_closes_and_comes_back",
    "buffer_memory_smaller_than_the_load_only_slows",
    "transactions_committed_and_aborted",
    "transaction_carries_offsets",
    "older_transactional_producer_is_fenced",
    "consumer_protocol_group_of_two_restarts_from_the_commit",
    "consumer_protocol_partition_is_never_two_members_at_a_time",
    "consumer_protocol_follows_new_partitions_and_topics",
    "consumer_protocol_group_moves_from_classic_and_back",
    "consumer_protocol_offsets_in_a_transaction",
    "consumer_protocol_static_member_comes_back_to_its_partitions",
]


OF_4 = ["consumer_protocol_subscribes_by_expression"]


@pytest.fixture(scope="module")
def lines(bootstrap):
    return programs.lines_of(jvm.command("java", "millrace.clients.Scenarios", bootstrap))


@pytest.fixture(scope="module")
def lines_of_3(bootstrap):
    return programs.lines_of(jvm.command("java3", "millrace.clients.Scenarios", bootstrap))


@pytest.mark.parametrize("name", COMMON + OF_4)
def test_java(lines, name):
    programs.expect_pass(lines, name)


@pytest.mark.nightly
@pytest.mark.parametrize("name", COMMON)
def test_java3(lines_of_3, name):
    programs.expect_pass(lines_of_3, name)
