"""ApiVersions, and what a broker does with requests it cannot serve (T01-T08, T17, C15)."""
import struct

import pytest

from raw import api, groups, wire
from raw.wire import Reader

# What Apache Kafka 4.4 serves for the APIs of the first issue: oldest to newest.
SERVED = {
    wire.PRODUCE: (0, 13), wire.FETCH: (4, 18), wire.LIST_OFFSETS: (1, 11),
    wire.METADATA: (0, 13), wire.OFFSET_COMMIT: (2, 10), wire.OFFSET_FETCH: (1, 10),
    wire.FIND_COORDINATOR: (0, 6), wire.JOIN_GROUP: (0, 9), wire.HEARTBEAT: (0, 4),
    wire.LEAVE_GROUP: (0, 5), wire.SYNC_GROUP: (0, 5), wire.DESCRIBE_GROUPS: (0, 6),
    wire.LIST_GROUPS: (0, 5), wire.API_VERSIONS: (0, 5), wire.CREATE_TOPICS: (2, 7),
    wire.DELETE_TOPICS: (1, 6), wire.INIT_PRODUCER_ID: (0, 5),
    wire.OFFSET_FOR_LEADER_EPOCH: (2, 4), wire.DESCRIBE_CONFIGS: (1, 4),
    wire.DESCRIBE_CLUSTER: (0, 2),
}


@pytest.mark.parametrize("key", SERVED, ids=lambda key: f"api{key}")
def test_t03_t04_every_version_of_kafka_is_advertised(admin, key):
    assert api.api_versions(admin, 0).keys[key] == SERVED[key]


def test_t01_produce_is_advertised_from_0_so_that_old_librdkafka_compresses(admin):
    assert api.api_versions(admin, 3).keys[wire.PRODUCE][0] == 0


def test_t02_join_group_is_advertised_from_0_so_that_old_librdkafka_finds_coordinators(admin):
    keys = api.api_versions(admin, 3).keys
    for key in (wire.JOIN_GROUP, wire.SYNC_GROUP, wire.HEARTBEAT, wire.LEAVE_GROUP,
                wire.FIND_COORDINATOR):
        assert keys[key][0] == 0


@pytest.mark.parametrize("version", range(6))
def test_t05_every_api_versions_answer_has_a_header_without_tags(admin, version):
    answer = api.api_versions(admin, version)
    assert answer.error == 0
    assert answer.keys[wire.API_VERSIONS] == (0, 5)


@pytest.mark.parametrize("version", [6, 9, 300])
def test_t06_unknown_api_versions_version_is_answered_in_v0_with_the_range(admin, version):
    sent = admin.send(wire.API_VERSIONS, version, api.api_versions_body(3))
    r = Reader(admin.receive_frame())
    assert (r.i32(), r.i16()) == (sent, 35)
    keys = r.array(lambda: (r.i16(), r.i16(), r.i16()))
    assert (wire.API_VERSIONS, 0, 5) in keys
    assert api.api_versions(admin, 3).error == 0, "the connection goes on"


@pytest.mark.parametrize("name", ["a b", "", "-x", "x-", "ü"])
def test_t07_bad_client_software_name_is_an_invalid_request(admin, name):
    assert api.api_versions(admin, 3, name=name).error == 42


def test_t07_good_client_software_names_are_taken(admin):
    for name in ("a", "lib.rd-kafka9", "A.B"):
        assert api.api_versions(admin, 3, name=name).error == 0


def test_t08_features_with_minimum_zero_are_hidden_before_version_4(admin):
    r = Reader(api.api_versions(admin, 3).tags.get(0, b"\x01"), flexible=True)
    for _, low, _, _ in r.array(lambda: (r.string(), r.i16(), r.i16(), r.tags())):
        assert low > 0


def test_t08_finalized_features_have_an_epoch(admin):
    tags = api.api_versions(admin, 4).tags
    if 2 in tags:
        assert struct.unpack(">q", tags[1])[0] >= 0


def test_t17_telemetry_is_not_advertised_without_a_receiver(admin):
    keys = api.api_versions(admin, 3).keys
    assert 71 not in keys and 72 not in keys


def test_keys_of_the_zookeeper_days_are_not_advertised(admin):
    assert not {4, 5, 6, 7} & set(api.api_versions(admin, 3).keys)


def test_c15_version_5_with_the_right_cluster_and_node_is_served(admin):
    answer = api.metadata(admin, [], 4)
    node = next(n for n, address in answer.brokers.items() if address == admin.address)
    for cluster_id, node_id in ((answer.cluster_id, node), (None, -1)):
        assert api.api_versions(admin, 5, cluster_id=cluster_id, node_id=node_id).error == 0


def test_c15_version_5_with_only_one_of_cluster_and_node_is_an_invalid_request(admin):
    answer = api.metadata(admin, [], 4)
    assert api.api_versions(admin, 5, cluster_id=answer.cluster_id, node_id=-1).error == 42
    assert api.api_versions(admin, 5, cluster_id=None, node_id=1).error == 42


def test_c15_version_5_with_a_wrong_cluster_or_node_says_rebootstrap(admin):
    answer = api.metadata(admin, [], 4)
    node = next(n for n, address in answer.brokers.items() if address == admin.address)
    assert api.api_versions(admin, 5, cluster_id="elsewhere", node_id=node).error == 129
    assert api.api_versions(admin, 5, cluster_id=answer.cluster_id, node_id=node + 1).error == 129


def test_c15_every_node_tells_the_same_cluster_id(target):
    ids = set()
    for address in target.addresses:
        with target.connect(address) as conn:
            ids.add(api.metadata(conn, [], 4).cluster_id)
            ids.add(api.describe_cluster(conn).cluster_id)
    assert len(ids) == 1 and ids.pop()


CLOSED = {
    "produce_v0_though_advertised": (wire.PRODUCE, 0, b""),
    "produce_v2_though_advertised": (wire.PRODUCE, 2, api.produce_body("x", b"", 3)[2:]),
    "produce_v99": (wire.PRODUCE, 99, b""),
    "fetch_v3": (wire.FETCH, 3, api.fetch_body([("x", 0, 0)], 4)),
    "unknown_api_key": (999, 0, b""),
    "negative_api_key": (-1, 0, b""),
    "leader_and_isr": (4, 0, b""),
    "negative_version": (wire.METADATA, -1, b"\x00\x00\x00\x00"),
    "truncated_body": (wire.METADATA, 1, b"\x00\x00\x00\x02\x00\x01x"),
    "negative_string_length": (wire.METADATA, 1, b"\x00\x00\x00\x01\xff\xf0"),
    "array_longer_than_the_frame": (wire.METADATA, 1, b"\x7f\xff\xff\xff"),
    "flexible_array_longer_than_the_frame": (wire.METADATA, 9, b"\xff\xff\xff\xff\x0f"),
    "endless_varint": (wire.METADATA, 9, b"\xff" * 20),
}


@pytest.mark.parametrize("name", CLOSED)
def test_request_that_cannot_be_served_closes_its_connection_only(target, admin, name):
    with target.connect() as conn:
        conn.send(*CLOSED[name])
        assert conn.is_closed()
    assert api.api_versions(admin, 3).error == 0


@pytest.mark.parametrize("size", [-1, -(1 << 31), (1 << 31) - 1, 104857601],
                         ids=["minus_one", "int_min", "int_max", "one_above_the_limit"])
def test_c28_frame_of_a_wrong_or_oversize_length_closes_the_connection(target, size):
    with target.connect() as conn:
        conn.send_bytes(struct.pack(">i", size) + b"\x00" * 64)
        assert conn.is_closed()


@pytest.mark.parametrize("size", [0, 1, 7])
def test_frame_too_short_for_a_header_closes_the_connection(target, size):
    with target.connect() as conn:
        conn.send_frame(b"\x00" * size)
        assert conn.is_closed()


def test_http_request_on_the_broker_port_closes_the_connection(target):
    with target.connect() as conn:
        conn.send_bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert conn.is_closed()


def test_frame_that_arrives_byte_by_byte_is_served(target):
    with target.connect() as conn:
        body = struct.pack(">hhih", wire.API_VERSIONS, 0, 77, 1) + b"x"
        for byte in struct.pack(">i", len(body)) + body:
            conn.send_bytes(bytes([byte]))
        assert Reader(conn.receive_frame()).i32() == 77


def test_null_client_id_is_served(target):
    with target.connect() as conn:
        conn.send_frame(struct.pack(">hhih", wire.API_VERSIONS, 0, 5, -1))
        assert Reader(conn.receive_frame()).i32() == 5


def test_find_coordinator_may_be_the_first_request_of_a_connection(target, group):
    with target.connect() as conn:
        groups.find_coordinator(conn, group, version=0)


def test_b01_pipelined_requests_are_answered_in_order(target, shared_topic):
    with target.leader(shared_topic) as conn:
        end = end_of(conn, shared_topic)
        slow = conn.send(wire.FETCH, 4, api.fetch_body([(shared_topic, 0, end)], max_wait_ms=300))
        quick = [conn.send(wire.API_VERSIONS, 0, b"") for _ in range(20)]
        conn.receive(wire.FETCH, 4, slow)
        for sent in quick:
            conn.receive(wire.API_VERSIONS, 0, sent)


def end_of(conn, topic):
    return api.list_offsets(conn, topic, -1).offset
