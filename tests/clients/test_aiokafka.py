"""aiokafka: the whole scenario with asyncio's client, transactions included."""
import asyncio
import contextlib
import functools
import inspect
import time

import pytest
from aiokafka import (AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener,
                      TopicPartition)
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (InvalidReplicationFactorError, InvalidTopicError,
                             MessageSizeTooLargeError, NoError, NoOffsetForPartitionError,
                             ProducerFenced, TopicAlreadyExistsError, UnknownTopicOrPartitionError,
                             for_code)
from aiokafka.structs import OffsetAndMetadata

from scenario import CODECS, sample_records

LIMIT_S = 60
SETTLE_S = 20


def in_loop(test):
    """A test that is a coroutine, with a bound; its `clients` stops what was made for it."""
    async def run(args):
        async with contextlib.AsyncExitStack() as stack:
            bound = {"clients": Clients(stack, args.pop("bootstrap"))}
            await asyncio.wait_for(test(**bound, **args), LIMIT_S)

    @functools.wraps(test)
    def wrapper(**args):
        asyncio.run(run(args))

    names = [n for n in inspect.signature(test).parameters if n != "clients"] + ["bootstrap"]
    wrapper.__signature__ = inspect.Signature(
        [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names])
    return wrapper


class Clients:
    def __init__(self, stack, bootstrap):
        self.stack = stack
        self.bootstrap = bootstrap

    async def _start(self, client):
        await client.start()
        self.stack.push_async_callback(getattr(client, "stop", None) or client.close)
        return client

    async def producer(self, **config):
        return await self._start(AIOKafkaProducer(bootstrap_servers=self.bootstrap, **config))

    async def consumer(self, *topics, **config):
        config = {"auto_offset_reset": "earliest", "enable_auto_commit": False,
                  "heartbeat_interval_ms": 200, **config}
        return await self._start(
            AIOKafkaConsumer(*topics, bootstrap_servers=self.bootstrap, **config))

    async def admin(self):
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        self.stack.push_async_callback(admin.close)
        return admin

    async def read_all(self, topic, count, **config):
        consumer = await self.consumer(**config)
        part = TopicPartition(topic, 0)
        consumer.assign([part])
        await consumer.seek_to_beginning(part)
        return await take(consumer, count)


async def until(holds, what):
    deadline = time.monotonic() + SETTLE_S
    while not (answer := await holds()):
        assert time.monotonic() < deadline, f"{what} did not come within {SETTLE_S} s"
        await asyncio.sleep(0.02)
    return answer


async def settle(target):
    """After a change: here every broker knows it once it is answered, Apache Kafka a bit later."""
    if target.is_kafka:
        await asyncio.sleep(0.5)


async def take(consumer, count):
    out = []

    async def enough():
        for messages in (await consumer.getmany(timeout_ms=200)).values():
            out.extend(messages)
        return len(out) >= count

    await until(enough, f"{count} records")
    assert len(out) == count
    return out


async def send(producer, topic, records, partition=0):
    sent = [await producer.send(topic, value, key, partition, timestamp, headers)
            for key, value, headers, timestamp in records]
    return [await one for one in sent]


def records_for(seed, **fields):
    """The common records, less what this client cannot send: null headers, and null for both."""
    return [(key, value, [h for h in headers if h[1] is not None], timestamp)
            for key, value, headers, timestamp in sample_records(seed, **fields)
            if (key, value) != (None, None)]


def as_sent(messages):
    return [(m.key, m.value, list(m.headers), m.timestamp) for m in messages]


@pytest.mark.parametrize("codec", CODECS)
@in_loop
async def test_records_come_back_exactly_as_sent(clients, topic, codec):
    records = records_for(codec, big=True)
    producer = await clients.producer(compression_type=None if codec == "none" else codec,
                                      acks="all", max_request_size=2_000_000)
    metadata = await send(producer, topic, records)
    assert [m.offset for m in metadata] == list(range(len(records)))
    assert as_sent(await clients.read_all(topic, len(records))) == records


@pytest.mark.parametrize("acks", [0, 1, "all"])
@in_loop
async def test_each_acks_level_delivers(clients, topic, acks):
    records = records_for(acks)
    await send(await clients.producer(acks=acks), topic, records)
    assert as_sent(await clients.read_all(topic, len(records))) == records


@in_loop
async def test_idempotent_producer_keeps_order(clients, topic):
    records = [(None, b"%d" % i, [], 1000) for i in range(500)]
    producer = await clients.producer(enable_idempotence=True, max_batch_size=300)
    assert [m.offset for m in await send(producer, topic, records)] == list(range(500))
    assert [m.value for m in await clients.read_all(topic, 500)] == [r[1] for r in records]


class Watch(ConsumerRebalanceListener):
    def __init__(self):
        self.assigned = set()

    async def on_partitions_revoked(self, revoked):
        self.assigned -= set(revoked)

    async def on_partitions_assigned(self, assigned):
        self.assigned = set(assigned)


@in_loop
async def test_group_of_two_rebalances_and_restarts_from_the_commit(clients, target, group):
    topic = target.new_topic("pair", partitions=4)
    producer = await clients.producer(acks="all")
    for part in range(4):
        await send(producer, topic, [(None, b"%d" % i, [], 1000) for i in range(10)], part)
    first = await clients.consumer(group_id=group)
    first.subscribe([topic], listener=(one := Watch()))
    await take(first, 40)
    await first.commit({TopicPartition(topic, p): OffsetAndMetadata(7, "note") for p in range(4)})
    second = await clients.consumer(group_id=group)
    second.subscribe([topic], listener=(two := Watch()))

    async def balanced():
        return len(one.assigned) == len(two.assigned) == 2

    await until(balanced, "two partitions each")
    assert one.assigned | two.assigned == {TopicPartition(topic, p) for p in range(4)}
    await first.stop()

    async def alone():
        return len(two.assigned) == 4

    await until(alone, "all for the one that is left")
    await second.stop()
    third = await clients.consumer(topic, group_id=group)
    assert {m.offset for m in await take(third, 12)} == {7, 8, 9}
    assert await third.committed(TopicPartition(topic, 0)) == 7


@in_loop
async def test_offsets_by_time(clients, topic):
    producer = await clients.producer(acks="all")  # what is not everywhere has no time yet
    base = int(time.time() * 1000) - 60_000  # older records might be deleted
    await send(producer, topic, [(None, b"v", [], base + 1000 * i) for i in range(1, 6)])
    part = TopicPartition(topic, 0)
    consumer = await clients.consumer()
    for asked, offset in ((0, 0), (1001, 1), (5000, 4)):
        assert (await consumer.offsets_for_times({part: base + asked}))[part].offset == offset
    assert (await consumer.offsets_for_times({part: base + 5001}))[part] is None
    assert await consumer.beginning_offsets([part]) == {part: 0}
    assert await consumer.end_offsets([part]) == {part: 5}


@in_loop
async def test_transactions_committed_and_aborted(clients, target, topic):
    producer = await clients.producer(transactional_id=target.unique("txn"))

    async def one(value, commit):
        await producer.begin_transaction()
        await producer.send_and_wait(topic, value, partition=0)
        await (producer.commit_transaction() if commit else producer.abort_transaction())

    await one(b"one", True)
    await one(b"two", False)
    await one(b"three", True)
    got = await clients.read_all(topic, 2, isolation_level="read_committed")
    assert [m.value for m in got] == [b"one", b"three"]
    got = await clients.read_all(topic, 3)
    assert [m.value for m in got] == [b"one", b"two", b"three"]


@in_loop
async def test_transaction_carries_offsets(clients, target, topic, group):
    producer = await clients.producer(transactional_id=target.unique("txn"))
    consumer = await clients.consumer(group_id=group)
    part = TopicPartition(topic, 0)
    consumer.assign([part])

    async def one(offset, commit):
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"v", partition=0)
        await producer.send_offsets_to_transaction({part: offset}, group)
        await (producer.commit_transaction() if commit else producer.abort_transaction())
        await settle(target)

    await one(5, True)
    assert await consumer.committed(part) == 5
    await one(9, False)
    assert await consumer.committed(part) == 5


@in_loop
async def test_older_transactional_producer_is_fenced(clients, target, topic):
    name = target.unique("txn")
    old = await clients.producer(transactional_id=name)
    await old.begin_transaction()
    await old.send_and_wait(topic, b"old", partition=0)
    await clients.producer(transactional_id=name)
    with pytest.raises(ProducerFenced):
        await old.send_and_wait(topic, b"older", partition=0)
        await old.commit_transaction()
    got = await clients.read_all(topic, 1)
    assert [m.value for m in got] == [b"old"]


@in_loop
async def test_record_of_2_mb_is_too_large_and_the_connection_lives_on(clients, topic):
    producer = await clients.producer(max_request_size=10_000_000)
    with pytest.raises(MessageSizeTooLargeError):
        await producer.send_and_wait(topic, bytes(2_000_000), partition=0)
    assert (await producer.send_and_wait(topic, b"small", partition=0)).offset == 0


@in_loop
async def test_unknown_topic_is_refused(clients, target):
    admin = await clients.admin()
    name = target.unique("unknown")
    answer = await admin.delete_topics([name])
    assert for_code(answer.topic_error_codes[0][1]) is UnknownTopicOrPartitionError
    assert name not in await admin.list_topics()


@in_loop
async def test_auto_offset_reset_none_raises(clients, topic, group):
    consumer = await clients.consumer(topic, group_id=group, auto_offset_reset="none")
    with pytest.raises(NoOffsetForPartitionError):
        await until(functools.partial(consumer.getmany, timeout_ms=500), "an error")


@in_loop
async def test_admin_topics_and_configs(clients, target):
    admin = await clients.admin()
    name = target.unique("admin")

    async def create(topic, replicas=3, **configs):
        answer = await admin.create_topics([NewTopic(topic, 2, replicas, topic_configs=configs)])
        return for_code(answer.topic_errors[0][1])

    assert await create(name, **{"retention.ms": "7200000"}) is NoError
    assert await create(name) is TopicAlreadyExistsError
    assert await create(target.unique("wide"), 9) is InvalidReplicationFactorError
    assert await create("no topic") is InvalidTopicError
    await admin.create_partitions({name: NewPartitions(5)})
    await settle(target)
    [found] = await admin.describe_topics([name])
    assert len(found["partitions"]) == 5
    resource = ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": "compact"})
    await admin.alter_configs([resource])
    await settle(target)
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    values = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert values["cleanup.policy"] == "compact"
    await admin.delete_topics([name])

    async def gone():
        return name not in await admin.list_topics()

    await until(gone, "the end of the topic")


@in_loop
async def test_admin_groups_and_records(clients, topic, group):
    await send(await clients.producer(), topic, [(None, b"%d" % i, [], 1000) for i in range(4)])
    consumer = await clients.consumer(topic, group_id=group)
    await take(consumer, 4)
    await consumer.commit()
    admin = await clients.admin()
    assert (group, "consumer") in await admin.list_consumer_groups()
    [answer] = await admin.describe_consumer_groups([group])
    assert answer.groups[0][2] == "Stable"
    part = TopicPartition(topic, 0)
    offsets = await admin.list_consumer_group_offsets(group)
    assert offsets[part].offset == 4
    cluster = await admin.describe_cluster()
    assert len(cluster["brokers"]) == 3
