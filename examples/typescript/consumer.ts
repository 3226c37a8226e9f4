// One JSON file per Retell call, and the recordings of calls whose storage is off, from the topics of
// retell-bridge. Here is what has to do with Kafka; event.ts reads a record, store.ts has the files.
import { once, setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import * as kafka from '@platformatic/kafka'
import { read, type Found } from './event.js'
import { assign } from './partitions.js'
import { fetchRecording, makeFolders, store, type Link } from './store.js'

const list = (text: string): string[] => text.match(/[^\s,]+/g) ?? []
const { KAFKA_BROKERS = 'localhost:9092', KAFKA_GROUP = 'retell-typescript' } = process.env
const { TOPICS = 'retell.call_started,retell.call_ended,retell.call_analyzed' } = process.env
const { DEAD_LETTERS = `retell.${KAFKA_GROUP}.dead`, RETELL_API_KEYS } = process.env
const [topics, keys] = [list(TOPICS), list(RETELL_API_KEYS ?? '')]
const KAFKA = { clientId: KAFKA_GROUP, bootstrapBrokers: list(KAFKA_BROKERS) } // tls and sasl belong here
const WRONG_KEYS = "no signature has held since the start. Are RETELL_API_KEYS the bridge's, and that of " +
  'before among them, where events are older than the key? Set them and start again'

const stop = new AbortController()
setMaxListeners(0, stop.signal) // each wait is one
const pause = (ms: number) => sleep(ms, undefined, { signal: stop.signal }).catch(() => {})

// No body, key or link. Errors without a code are JavaScript's own: those of JSON quote what they could not read.
function log(line: string, error?: any) {
  while (error?.errors?.length) error = error.errors[0]
  const cause = error?.code ? `${error.apiId ?? error.code}: ${error.message}` : error?.name
  console.error(cause ? `${line}: ${cause}` : line)
}

// With the headers as they were, of the same name two, too. It is there when Kafka has confirmed it.
const producer = new kafka.Producer({ ...KAFKA, acks: -1 })
async function setAside({ topic, partition, offset, key, value, headers }: kafka.Message, reason: string) {
  const more = new Map(headers).set(Buffer.from('reason'), Buffer.from(reason))
  await producer.send({ messages: [{ topic: DEAD_LETTERS, key, value, headers: more }] })
  log(`dead letter (${reason}): ${topic} ${partition} ${offset}`)
}

// Into the store, or aside. What fails here is no record's fault: it stays in hand, as long as it is `ours`.
async function take(message: kafka.Message, found: Found, ours: () => unknown): Promise<Link | boolean> {
  for (let wait = 500; ours(); wait = Math.min(wait * 2, 30_000)) {
    try {
      if (typeof found === 'object') return (await store(found)) ?? true
      if (typeof found === 'string') await setAside(message, found)
      return true
    } catch (error) {
      log(`not taken, again in ${wait} ms`, error)
      await pause(wait)
    }
  }
  return false
}

// As long as no signature has held since the start, the keys are likelier wrong than an event is forged: that
// one waits, as when the store is away, and not all events are set aside for wrong keys.
let proven = false
let sayAt = 0
async function proves(found: Found) {
  proven ||= found !== undefined && found !== 'no_ce_id' && found !== 'signature'
  if (found !== 'signature' || proven) return true
  if (Date.now() > sayAt) {
    log(WRONG_KEYS)
    sayAt = Date.now() + 60_000
  }
  await pause(500)
  return false
}

// An offset is kept when that before it is, and its record's recording is here or given up; else both come again.
type Kept = Promise<boolean>
async function keep(before: Kept | undefined, recording: Kept, commit: () => Promise<unknown>): Kept {
  if ((await before) === false || !(await recording)) return false
  await commit().catch(error => log('offset not kept, its record comes again', error))
  return true
}

async function consume(consumer: kafka.Consumer) {
  const first = await consumer.listOffsets({ topics, timestamp: -2n })
  const stream = await consumer.consume({
    topics, mode: 'committed', fallbackMode: 'earliest', autocommit: false, maxWaitTime: 500,
    highWaterMark: 64, // records in memory: they can have 8 MiB each
  })
  // What retention has deleted, the client would ask for for ever.
  stream.on('offsets', () => first.forEach((offsets, topic) => offsets.forEach((offset, partition) => {
    const place = `${topic}:${partition}`
    if (stream.offsetsToFetch.get(place)! < offset) stream.offsetsToFetch.set(place, offset)
  })))
  consumer.on('error', error => stream.destroy(error))
  stop.signal.addEventListener('abort', () => stream.close())
  // The client keeps commits until a rebalance is over. Then the partition may be another's.
  let settled = Promise.resolve<unknown>(0)
  consumer.on('consumer:group:rebalance', () => {
    settled = once(consumer, 'consumer:group:join', stop).catch(() => {})
  })
  // Of each partition: the offset taken last, the commit due last, and where it is to be read again from.
  const [taken, commits, again] = [new Map<string, bigint>(), new Map<string, Kept>(), new Map<string, bigint>()]
  for await (const message of stream) {
    const { topic, partition, offset } = message
    const place = `${topic}:${partition}`
    const held = () => consumer.assignments?.find(one => one.topic === topic)?.partitions.includes(partition)
    // After a rebalance, the client reads again what is in its hands.
    const ours = () => held() && offset > (taken.get(place) ?? -1n) && !stop.signal.aborted
    const found = read(message, keys)
    const behind = offset > (again.get(place) ?? offset)
    // Back to the one in doubt. Other partitions have their turn meanwhile, and one of theirs may hold.
    if (ours() && (behind || !(await proves(found)))) {
      if (!behind) again.set(place, offset)
      stream.offsetsToFetch.set(place, again.get(place)!)
      continue
    }
    const link = await take(message, found, ours)
    if (!link) continue
    again.delete(place)
    taken.set(place, offset)
    const recording = typeof link === 'object' ? fetchRecording(link, stop.signal, log) : Promise.resolve(true)
    const { commit } = message // and not the record, which is in no memory while its recording is waited for
    commits.set(place, keep(commits.get(place), recording, async () => (await settled, held() && commit())))
  }
  await Promise.all(commits.values())
}

if (RETELL_API_KEYS !== undefined && !keys.length) {
  log('RETELL_API_KEYS has no key in it: give one, or unset it')
  process.exit(1)
}
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    stop.abort()
    // The client waits without end for a Kafka that is away. What is not committed comes again.
    setTimeout(() => process.exit(0), 10_000).unref()
  })
}
await makeFolders()
let ready = false
while (!stop.signal.aborted) { // where Kafka fails for longer than the client tries, it begins anew
  const group = { groupId: KAFKA_GROUP, sessionTimeout: 15_000, partitionAssigner: assign }
  const consumer = new kafka.Consumer({ ...KAFKA, ...group })
  consumer.on('consumer:group:join', () => {
    if (!ready && consumer.assignments?.length) console.log('ready')
    ready ||= !!consumer.assignments?.length
  })
  await consume(consumer).finally(() => consumer.close(true)).catch(error => (log('Kafka', error), pause(1000)))
}
await producer.close()
