'use strict'

/*
 * The scenarios of kafkajs. Run with the bootstrap list: every scenario (whose name begins as told)
 * prints one line, "PASS name" or "FAIL name: why".
 */

const assert = require('node:assert')
const { CompressionTypes, ConfigResourceTypes } = require('kafkajs')
const {
  Client, assertSame, expectError, sampleRecords, settle, unique, until,
} = require('./support')

const AT_ONCE = 4

async function roundTrip(client, compression, acks) {
  const topic = await client.newTopic()
  const records = sampleRecords()
  const producer = await client.producer()
  await producer.send({ topic, acks, compression, messages: records })
  assertSame(await client.readAll(topic, records.length), records)
}

async function idempotent(client) {
  const topic = await client.newTopic()
  const producer = await client.producer({ idempotent: true, maxInFlightRequests: 1 })
  for (let i = 0; i < 50; i++) {
    const messages = [{ value: `${2 * i}` }, { value: `${2 * i + 1}` }]
    const [{ baseOffset }] = await producer.send({ topic, acks: -1, messages })
    assert.strictEqual(baseOffset, `${2 * i}`)
  }
  const got = await client.readAll(topic, 100)
  got.forEach((message, i) => assert.strictEqual(message.value.toString(), `${i}`))
}

async function groupOfTwo(client) {
  const topic = await client.newTopic(4)
  const groupId = unique('group')
  const producer = await client.producer()
  const messages = []
  for (let i = 0; i < 40; i++) messages.push({ partition: i % 4, value: `${i}` })
  await producer.send({ topic, messages })

  const first = await client.consumer(topic, { groupId })
  await client.take(first, 40)
  await first.commitOffsets([0, 1, 2, 3].map(partition =>
    ({ topic, partition, offset: '7', metadata: 'note' })))
  const [{ partitions }] = await client.admin.fetchOffsets({ groupId, topics: [topic] })
  assert(partitions.every(one => one.offset === '7' && one.metadata === 'note'), 'the commit')

  const second = await client.consumer(topic, { groupId })
  await until(() => first.parts.length === 2 && second.parts.length === 2, 'two partitions each')
  assert.deepStrictEqual([...first.parts, ...second.parts].sort(), [0, 1, 2, 3])
  await first.disconnect()
  await until(() => second.parts.length === 4, 'all partitions for the one that is left')
  await second.disconnect()

  const third = await client.consumer(topic, { groupId })
  for (const message of await client.take(third, 12)) {
    assert(Number(message.offset) >= 7, `record before the commit: ${message.offset}`)
  }
}

async function offsetsByTime(client) {
  const topic = await client.newTopic()
  const producer = await client.producer()
  const base = Date.now() - 60000 /* older records might be deleted */
  const messages = [1, 2, 3, 4, 5].map(i => ({ value: 'v', timestamp: `${base + 1000 * i}` }))
  await producer.send({ topic, messages })
  for (const [asked, offset] of [[0, '0'], [1001, '1'], [5000, '4'], [5001, '5']]) {
    const [found] = await client.admin.fetchTopicOffsetsByTimestamp(topic, base + asked)
    assert.strictEqual(found.offset, offset, `offset of time ${asked}`)
  }
  const [ends] = await client.admin.fetchTopicOffsets(topic)
  assert.deepStrictEqual([ends.low, ends.high], ['0', '5'])
}

async function transactions(client) {
  const topic = await client.newTopic(2)
  const options = { transactionalId: unique('txn'), idempotent: true, maxInFlightRequests: 1 }
  const producer = await client.producer(options)
  const send = async (value, end) => {
    const txn = await producer.transaction()
    for (const partition of [0, 1]) {
      await txn.send({ topic, messages: [{ partition, value }] })
    }
    await txn[end]()
  }
  await send('one', 'commit')
  await send('two', 'abort')
  await send('three', 'commit')
  const values = got => [0, 1].map(partition => got.filter(m => m.partition === partition)
    .map(m => m.value.toString()).join())
  assert.deepStrictEqual(values(await client.readAll(topic, 4)), ['one,three', 'one,three'])
  const all = await client.readAll(topic, 6, { readUncommitted: true })
  assert.deepStrictEqual(values(all), ['one,two,three', 'one,two,three'])
}

async function transactionWithOffsets(client) {
  const topic = await client.newTopic()
  const groupId = unique('group')
  const member = await client.consumer(topic, { groupId })
  await until(() => member.parts.length === 1, 'the partition')
  const producer = await client.producer(
    { transactionalId: unique('txn'), idempotent: true, maxInFlightRequests: 1 })
  const committed = async () => {
    const [found] = await client.admin.fetchOffsets({ groupId, topics: [topic] })
    return found.partitions[0].offset
  }
  const send = async (offset, end) => {
    const txn = await producer.transaction()
    await txn.send({ topic, messages: [{ value: 'v' }] })
    await txn.sendOffsets(
      { consumerGroupId: groupId, topics: [{ topic, partitions: [{ partition: 0, offset }] }] })
    await txn[end]()
    await settle()
  }
  await send('5', 'commit')
  assert.strictEqual(await committed(), '5')
  await send('9', 'abort')
  assert.strictEqual(await committed(), '5', 'offsets of an aborted transaction')
}

async function fencing(client) {
  const topic = await client.newTopic()
  const options = { transactionalId: unique('txn'), idempotent: true, maxInFlightRequests: 1 }
  const old = await client.producer(options)
  const txn = await old.transaction()
  await txn.send({ topic, messages: [{ value: 'old' }] })
  const next = await client.producer(options)
  const newer = await next.transaction()
  await newer.send({ topic, messages: [{ value: 'new' }] })
  await newer.commit()
  await expectError('INVALID_PRODUCER_EPOCH', () => txn.send({ topic, messages: [{ value: 'x' }] }))
  const [message] = await client.readAll(topic, 1)
  assert.strictEqual(message.value.toString(), 'new')
}

async function tooLarge(client) {
  const topic = await client.newTopic()
  const producer = await client.producer({ retry: { retries: 0 } })
  await expectError('MESSAGE_TOO_LARGE', () =>
    producer.send({ topic, messages: [{ value: Buffer.alloc(2000000) }] }))
  const [{ baseOffset }] = await producer.send({ topic, messages: [{ value: 'small' }] })
  assert.strictEqual(baseOffset, '0')
}

async function unknownTopic(client) {
  const kafka = { allowAutoTopicCreation: false, retry: { retries: 1, initialRetryTime: 20 } }
  const producer = await client.producer(kafka)
  const topic = unique('unknown')
  await expectError('UNKNOWN_TOPIC_OR_PARTITION', () =>
    producer.send({ topic, messages: [{ value: 'v' }] }))
  await expectError('UNKNOWN_TOPIC_OR_PARTITION', () =>
    client.impatient.deleteTopics({ topics: [topic], timeout: 1000 }))
  assert(!(await client.admin.listTopics()).includes(topic), 'it was created')
}

async function adminTopics({ admin }) {
  const topic = unique('admin')
  const create = (more = {}) => admin.createTopics({
    validateOnly: false,
    topics: [{ topic, numPartitions: 2, replicationFactor: 3, ...more }],
  })
  assert.strictEqual(await create({ configEntries: [{ name: 'retention.ms', value: '7200000' }] }),
    true)
  assert.strictEqual(await create(), false) /* kafkajs' word for TOPIC_ALREADY_EXISTS alone */
  await expectError('INVALID_REPLICATION_FACTOR', () =>
    create({ topic: unique('wide'), replicationFactor: 9 }))
  await expectError('INVALID_TOPIC_EXCEPTION', () => create({ topic: 'no topic' }))
  await expectError('INVALID_CONFIG', () => create({
    topic: unique('wrong'), configEntries: [{ name: 'retention.ms', value: 'soon' }] }))
  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
  await settle()
  await expectError('INVALID_PARTITIONS', () =>
    admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] }))
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  assert.strictEqual(topics[0].partitions.length, 5)
  await admin.deleteTopics({ topics: [topic] })
  await until(async () => !(await admin.listTopics()).includes(topic), 'the end of the topic')
}

async function adminConfigs(client) {
  const topic = await client.newTopic()
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  const value = async name => {
    const { resources } = await client.admin.describeConfigs({
      includeSynonyms: false, resources: [{ ...resource, configNames: [name] }] })
    return resources[0].configEntries[0].configValue
  }
  assert.strictEqual(await value('cleanup.policy'), 'delete')
  await client.admin.alterConfigs({ validateOnly: false, resources: [
    { ...resource, configEntries: [{ name: 'cleanup.policy', value: 'compact' }] }] })
  await settle()
  assert.strictEqual(await value('cleanup.policy'), 'compact')
  await expectError('INVALID_CONFIG', () => client.admin.alterConfigs({ validateOnly: true,
    resources: [{ ...resource, configEntries: [{ name: 'cleanup.policy', value: 'burn' }] }] }))
}

async function adminCluster({ admin }) {
  const { brokers, controller, clusterId } = await admin.describeCluster()
  assert.strictEqual(brokers.length, 3)
  assert(brokers.some(one => one.nodeId === controller), 'a controller')
  assert.strictEqual(typeof clusterId, 'string')
}

async function adminRecords(client) {
  const topic = await client.newTopic()
  const producer = await client.producer()
  await producer.send({ topic, messages: [{ value: '0' }, { value: '1' }, { value: '2' }] })
  await client.admin.fetchTopicOffsets(topic) /* kafkajs knows no leaders before it */
  const partitions = [{ partition: 0, offset: '2' }]
  await client.admin.deleteTopicRecords({ topic, partitions })
  const [{ low, high }] = await client.admin.fetchTopicOffsets(topic)
  assert.deepStrictEqual([low, high], ['2', '3'])
  const [message] = await client.readAll(topic, 1)
  assert.strictEqual(message.value.toString(), '2')
}

async function adminGroups(client) {
  const topic = await client.newTopic()
  const groupId = unique('group')
  const member = await client.consumer(topic, { groupId })
  await until(() => member.parts.length === 1, 'the partition')
  const { groups } = await client.admin.listGroups()
  assert(groups.some(one => one.groupId === groupId && one.protocolType === 'consumer'))
  const described = await client.admin.describeGroups([groupId])
  assert.strictEqual(described.groups[0].state, 'Stable')
  assert.strictEqual(described.groups[0].members.length, 1)
  await expectError('NON_EMPTY_GROUP', () => client.admin.deleteGroups([groupId]))
  await member.disconnect()
  await client.admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '3' }] })
  const [{ partitions }] = await client.admin.fetchOffsets({ groupId, topics: [topic] })
  assert.strictEqual(partitions[0].offset, '3')
  await client.admin.deleteGroups([groupId])
  await expectError('GROUP_ID_NOT_FOUND', () => client.admin.deleteGroups([groupId]))
}

async function adminReassignment(client) {
  const topic = await client.newTopic()
  const replicas = async () =>
    (await client.admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions[0].replicas
  const wanted = (await replicas()).slice(1)
  await client.admin.alterPartitionReassignments({
    topics: [{ topic, partitionAssignment: [{ partition: 0, replicas: wanted }] }] })
  await until(async () => {
    const { topics } = await client.admin.listPartitionReassignments({})
    return !topics.some(one => one.topic === topic) && (await replicas()).length === 2
  }, 'the end of the reassignment')
  assert.deepStrictEqual(await replicas(), wanted)
}

const SCENARIOS = {
  records_come_back_exactly_as_sent_none: c => roundTrip(c, CompressionTypes.None, -1),
  records_come_back_exactly_as_sent_gzip: c => roundTrip(c, CompressionTypes.GZIP, -1),
  records_come_back_exactly_as_sent_snappy: c => roundTrip(c, CompressionTypes.Snappy, -1),
  records_come_back_exactly_as_sent_lz4: c => roundTrip(c, CompressionTypes.LZ4, -1),
  records_come_back_exactly_as_sent_zstd: c => roundTrip(c, CompressionTypes.ZSTD, -1),
  acks_0_delivers: c => roundTrip(c, CompressionTypes.None, 0),
  acks_1_delivers: c => roundTrip(c, CompressionTypes.None, 1),
  idempotent_producer_keeps_order: idempotent,
  group_of_two_restarts_from_the_commit: groupOfTwo,
  offsets_by_time: offsetsByTime,
  transactions_committed_and_aborted: transactions,
  transaction_carries_offsets: transactionWithOffsets,
  older_transactional_producer_is_fenced: fencing,
  record_of_2_mb_is_too_large_and_the_connection_lives_on: tooLarge,
  unknown_topic_is_refused: unknownTopic,
  admin_topics: adminTopics,
  admin_configs: adminConfigs,
  admin_cluster: adminCluster,
  admin_delete_records: adminRecords,
  admin_groups: adminGroups,
  admin_reassignment: adminReassignment,
}

async function runOne(client, name) {
  const own = await client.child()
  try {
    await SCENARIOS[name](own)
    console.log(`PASS ${name}`)
  } catch (error) {
    const where = (error.stack || '').split('\n').slice(1, 5).join(' ')
    console.log(`FAIL ${name}: ${error.message.replace(/\n/g, ' ')} ${where}`)
  }
  await own.stopAll()
}

async function main(bootstrap, prefix = '') {
  const client = new Client(bootstrap)
  await client.start()
  const names = Object.keys(SCENARIOS).filter(name => name.startsWith(prefix))
  const worker = async () => {
    while (names.length > 0) await runOne(client, names.pop())
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker)) /* most of their time is waiting */
  await client.stop()
}

main(...process.argv.slice(2))
