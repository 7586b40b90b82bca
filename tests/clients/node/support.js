'use strict'

/* What the scenarios share: the client, fresh names, waits with a bound, codecs, comparing. */

const assert = require('node:assert')
const crypto = require('node:crypto')
const lz4 = require('lz4-napi')
const snappy = require('snappyjs')
const zstd = require('@bokuweb/zstd-wasm')
const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs')

const LIMIT_MS = 20000
const BIG = 1000000
const REFERENCE = process.env.MILLRACE_TEST_TARGET === 'kafka'

const run = crypto.randomBytes(4).toString('hex')
let numbers = 0
const unique = name => `${name}-node-${run}-${++numbers}`

/* kafkajs brings gzip; the others are plugged in, as its users do. */
function plugCodecs() {
  const codec = (compress, decompress) => () => ({
    compress: async encoder => Buffer.from(compress(encoder.buffer)),
    decompress: async buffer => Buffer.from(decompress(buffer)),
  })
  CompressionCodecs[CompressionTypes.Snappy] = codec(snappy.compress, snappy.uncompress)
  CompressionCodecs[CompressionTypes.LZ4] = codec(lz4.compressFrameSync, lz4.decompressFrameSync)
  CompressionCodecs[CompressionTypes.ZSTD] = codec(zstd.compress, zstd.decompress)
}

class Client {
  constructor(bootstrap) {
    this.kafka = new Kafka({
      clientId: 'millrace-node',
      brokers: bootstrap.split(','),
      logLevel: logLevel.NOTHING,
      retry: { initialRetryTime: 50, retries: 8 },
    })
    this.impatient = this.kafka.admin({ retry: { retries: 0 } })
    this.made = []
  }

  async start() {
    await zstd.init()
    plugCodecs()
    await this.impatient.connect()
  }

  /* For one scenario: it stops what it made. Its admin client is its own, because what one knows
   * of leaders is lost when it is asked about other topics meanwhile. */
  async child() {
    const admin = this.kafka.admin()
    await admin.connect()
    return Object.assign(Object.create(this), { admin, made: [admin] })
  }

  async newTopic(partitions = 1) {
    const topic = unique('topic')
    await this.admin.createTopics({
      waitForLeaders: !REFERENCE, /* kafkajs waits too short for it */
      topics: [{ topic, numPartitions: partitions, replicationFactor: 3 }],
    })
    await settle()
    return topic
  }

  async producer(options = {}) {
    const producer = this.kafka.producer(options)
    this.made.push(producer)
    await producer.connect()
    return producer
  }

  /* A member of a group that keeps what it got in .got and its partitions in .parts. */
  async consumer(topic, options = {}, { fromBeginning = true } = {}) {
    const consumer = this.kafka.consumer({
      groupId: unique('group'),
      heartbeatInterval: 200,
      maxWaitTimeInMs: 200,
      ...options,
    })
    this.made.push(consumer)
    consumer.got = []
    consumer.parts = []
    consumer.on(consumer.events.GROUP_JOIN, event => {
      consumer.parts = event.payload.memberAssignment[topic] || []
    })
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        consumer.got.push({ partition, ...message })
      },
    })
    return consumer
  }

  async take(consumer, count) {
    await until(() => consumer.got.length >= count, `${count} records`)
    assert.strictEqual(consumer.got.length, count, 'more records than sent')
    return consumer.got
  }

  async readAll(topic, count, options) {
    return this.take(await this.consumer(topic, options), count)
  }

  async stop() {
    await this.impatient.disconnect()
  }

  async stopAll() {
    await Promise.all(this.made.splice(0).map(one => one.disconnect()))
  }
}

async function until(holds, what) {
  const end = Date.now() + LIMIT_MS
  while (!(await holds())) {
    assert(Date.now() < end, `${what} did not come`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

/* After a change: here every broker knows it once it is answered, in Apache Kafka (against which the
 * scenarios are checked) a little later. */
async function settle() {
  if (REFERENCE) {
    await new Promise(resolve => setTimeout(resolve, 500))
  }
}

/* The action must be refused with this Kafka error; kafkajs wraps it in several ways. */
async function expectError(type, action) {
  try {
    await action()
  } catch (error) {
    const parts = [...(error.errors || []), ...(error.partitions || []), ...(error.groups || [])]
    const causes = [error, error.cause, error.originalError, ...parts]
    const types = causes.filter(Boolean).map(one => (one.error || one).type || one.message)
    assert(types.includes(type), `expected ${type}, got ${types}`)
    return
  }
  assert.fail(`expected ${type}`)
}

/* Keys and values also empty and null, headers also twice (kafkajs sends no null ones), and one record
 * of 1 MB. */
function sampleRecords() {
  const base = Date.now() - 1000
  const out = []
  for (let i = 0; i < 40; i++) {
    const headers = {}
    if (i % 4 > 0) headers.once = Buffer.from(`${i}`)
    if (i % 4 > 1) headers.twice = [Buffer.from('a'), Buffer.alloc(0)]
    if (i % 4 > 2) headers['né'] = Buffer.from('ü')
    out.push({
      partition: 0,
      key: [null, Buffer.alloc(0), Buffer.from(`key-${i % 7}`)][Math.min(i % 5, 2)],
      value: i % 11 === 10 ? null
        : [Buffer.alloc(0), Buffer.alloc(i * 50, 'v'), crypto.randomBytes(i * 10)][i % 3],
      headers,
      timestamp: `${base + i}`,
    })
  }
  const half = crypto.randomBytes(BIG / 2)
  const value = Buffer.concat([half, Buffer.alloc(BIG / 2, 'z')])
  out.push({ partition: 0, key: Buffer.from('big'), value, headers: {}, timestamp: `${base}` })
  return out
}

function assertSame(got, sent) {
  got.forEach((message, i) => {
    assert.strictEqual(message.offset, `${i}`)
    for (const field of ['key', 'value', 'headers', 'timestamp']) {
      assert.deepStrictEqual(message[field], sent[i][field], `${field} of record ${i}`)
    }
  })
}

module.exports = {
  Client, assertSame, expectError, sampleRecords, settle, unique, until,
}
