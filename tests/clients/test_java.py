"""Apache Kafka's own Java client, 4.4.0: java/ runs all scenarios in one process."""
import subprocess

import pytest

import jvm

SCENARIOS = [
    *(f"records_come_back_exactly_as_sent_{c}" for c in ("none", "gzip", "snappy", "lz4", "zstd")),
    *(f"acks_{a}_delivers" for a in ("0", "1", "all")),
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
    "consumer_protocol_group_of_two_restarts_from_the_commit",
    "consumer_protocol_partition_is_never_two_members_at_a_time",
    "consumer_protocol_follows_new_partitions_and_topics",
    "consumer_protocol_subscribes_by_expression",
    "consumer_protocol_static_member_comes_back_to_its_partitions",
]


@pytest.fixture(scope="module")
def lines(bootstrap):
    command = jvm.command("java", "millrace.clients.Scenarios", bootstrap)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        return (done.stdout + done.stderr).splitlines()
    except subprocess.TimeoutExpired as err:
        return (err.stdout or b"").decode().splitlines() + ["timed out"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_java(lines, name):
    found = [line for line in lines if line.split(":")[0] in (f"PASS {name}", f"FAIL {name}")]
    assert found, "no result:\n" + "\n".join(lines[-20:])
    assert found[0].startswith("PASS"), found[0]
