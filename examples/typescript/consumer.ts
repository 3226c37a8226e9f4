// One JSON file per Retell call, and the recordings of calls whose storage is off, from the topics of retell-bridge.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { once, setMaxListeners } from 'node:events'
import { existsSync, promises as fs } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import * as kafka from '@platformatic/kafka'
import type { CallResponse } from 'retell-sdk/resources/call'
const { KAFKA_BROKERS = 'localhost:9092', KAFKA_GROUP = 'retell-typescript', FOLDER = 'retell' } = process.env
const { TOPICS = 'retell.call_started,retell.call_ended,retell.call_analyzed' } = process.env
const { DEAD_LETTERS = `retell.${KAFKA_GROUP}.dead`, RETELL_API_KEYS: KEYS, REPLAY } = process.env // a replay's run id
const KAFKA = { clientId: KAFKA_GROUP, bootstrapBrokers: KAFKA_BROKERS.split(',') } // tls and sasl belong here
type Record = kafka.Message<Buffer, Buffer, string, Buffer>
type Event = { id: string; at: string; position: bigint; replay: boolean; type: string; call: CallResponse }
const stop = new AbortController()
setMaxListeners(0, stop.signal) // each wait is one
const code = (error: any): string => (error?.errors?.length ? code(error.errors[0]) : error?.apiId ?? error?.code ?? '')
const log = (line: string, error?: any) => console.error(line, code(error)) // no body, key or link
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const text = (value: unknown) => (typeof value === 'string' ? value : null)
const number = (value: unknown) => (Number.isSafeInteger(value) ? (value as number) : null)
const pause = (ms: number) => sleep(ms, undefined, { signal: stop.signal }).catch(() => {})

// Did Retell sign this? With the event's time as the clock: the SDK's own check refuses what is five minutes old.
// Optional, the bridge has checked. WHOEVER HOLDS THE KEY CAN PLACE CALLS: give it to as few consumers as you can.
export function verify(value: Buffer, signature: string, ceTime: string, keys: string): boolean {
  const [, stamp, digest] = /^v=([0-9]{1,15}),d=([0-9a-f]{64})$/.exec(signature) ?? []
  const own = (key: string) => createHmac('sha256', key).update(value).update(String(Number(stamp))).digest()
  return ceTime.endsWith('Z') && Math.abs(Date.parse(ceTime) - Number(stamp)) <= 300_000 &&
    !!keys.match(/[^\s,]+/g)?.some(key => timingSafeEqual(own(key), Buffer.from(digest, 'hex')))
}

// The event, or why no second try can help this record. Pure: whatever fails in here is the record's own fault.
function read(value: Buffer, headers: Map<string, Buffer>): Event | string {
  const header = (name: string) => headers.get(name)?.toString() ?? ''
  if (!header('ce_id')) return 'no_ce_id'
  try {
    if (KEYS && !verify(value, header('retell_signature'), header('ce_time'), KEYS)) return 'signature'
    const body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value))
    const call: CallResponse = body.call ?? body.data // `data`: its older name
    if (!(text(body.event) && text(call.call_id))) return 'unreadable'
    const [position, replay] = [BigInt(header('retell_position')), header('retell_origin') === `replay:${REPLAY}`]
    return { id: header('ce_id'), at: header('ce_time'), position, replay, type: body.event, call }
  } catch { return 'unreadable' }
}

// Each event sets only what it knows, whenever it comes: where it `wins` it replaces, else it only fills gaps.
function merge(row: any, { type, call, at, position }: Event, again: boolean) {
  const late = type === 'call_ended' || type === 'call_analyzed'
  let wins = late && !row.analyzed_at
  if (type === 'call_analyzed') { // an analysis can be run again: the later one wins, in whichever order they come
    wins ||= at > row.analyzed_at || (at === row.analyzed_at && position >= BigInt(row.analyzed_position))
    const summary = text(call.call_analysis?.call_summary)
    if (wins) Object.assign(row, { summary, analyzed_at: at, analyzed_position: String(position) })
  }
  const said = { agent_id: text(call.agent_id), started_ms: number(call.start_timestamp), ...(late && { transcript:
    text(call.transcript), ended_ms: number(call.end_timestamp), reason: text(call.disconnection_reason) }) }
  for (const [name, value] of Object.entries(said)) if (value !== null && (wins || row[name] == null)) row[name] = value
  if (!again) row.events++, row.analyses += Number(type === 'call_analyzed')
}

// The effect and the memory of it in one file, renamed into its place: after a kill both are there, or neither.
async function store(event: Event) {
  const path = `${FOLDER}/calls/${sha256(event.call.call_id)}.json`
  const row = { call_id: event.call.call_id, analyses: 0, events: 0, seen: {} as any }
  if (existsSync(path)) Object.assign(row, JSON.parse(await fs.readFile(path, 'utf8')))
  if (event.id in row.seen && (!event.replay || row.seen[event.id][1] === REPLAY)) return
  merge(row, event, event.id in row.seen)
  row.seen[event.id] = [Math.floor(Date.now() / 1000), event.replay ? REPLAY : null] // goes when the call's file goes
  await fs.writeFile(`${path}.new`, JSON.stringify(row), { flush: true })
  await fs.rename(`${path}.new`, path)
}

// Where storage is off, this link is the only way to the recording. False at a stop: then its record is to come again.
async function fetchRecording({ id, at, call }: Event): Promise<boolean> {
  const off = call.data_storage_setting === 'basic_attributes_only' || (call as any).opt_out_sensitive_data_storage
  const url = off && URL.canParse(call.recording_url ?? '') ? new URL(call.recording_url!) : null
  const path = `${FOLDER}/recordings/${sha256(call.call_id)}${url?.pathname.match(/\.\w{1,5}$/)?.[0] ?? '.wav'}`
  for (let wait = 500; url && !existsSync(path); wait = Math.min(wait * 2, 30_000)) {
    try {
      const answer = await fetch(url, { signal: AbortSignal.any([stop.signal, AbortSignal.timeout(120_000)]) })
      if (!answer.ok) throw new Error('refused')
      await fs.writeFile(`${path}.${sha256(id)}`, answer.body as any, { flush: true })
      await fs.rename(`${path}.${sha256(id)}`, path)
    } catch {
      if (stop.signal.aborted) return false
      if (!(Date.now() + wait < Date.parse(at) + 600_000)) return log(`recording given up: ${path}`), true
      await pause(wait)
    }
  }
  return true
}

// Takes a record, or sets it aside. What fails here is not its fault: it stays in hand, for as long as it is `ours`.
const producer = new kafka.Producer({ ...KAFKA, acks: -1, serializers: { headerKey: kafka.stringSerializer } })
async function take({ topic, partition, offset, key, value, headers }: Record, ours: () => unknown) {
  const event = read(value, headers)
  if (typeof event === 'string' && ours()) log(`dead letter (${event}): ${topic} ${partition} ${offset}`)
  const letter = { topic: DEAD_LETTERS, key, value, headers: new Map(headers).set('reason', Buffer.from(`${event}`)) }
  for (let wait = 500; ours(); wait = Math.min(wait * 2, 30_000)) {
    const work = typeof event === 'string' ? producer.send({ messages: [letter] }) : store(event)
    if (await work.then(() => true, error => log(`tries again in ${wait} ms:`, error))) return event
    await pause(wait)
  }
}

// The same partition of each topic to the same consumer, so that it has all of a call; the client's own does not.
const assign: kafka.GroupPartitionsAssigner = (_, members, topics, all) => [...members.keys()].map((memberId, n) => {
  const own = (topic: string) => all.topics.get(topic)!.partitions.map((_, p) => p).filter(p => p % members.size === n)
  return { memberId, assignments: new Map([...topics].map(topic => [topic, { topic, partitions: own(topic) }])) }
})
async function consume(consumer: kafka.Consumer<Buffer, Buffer, string, Buffer>) {
  const first = await consumer.listOffsets({ topics: TOPICS.split(','), timestamp: -2n }) // else it asks for ever
  const stream = await consumer.consume({ topics: TOPICS.split(','), mode: 'committed', fallbackMode: 'earliest',
    autocommit: false, maxWaitTime: 500, highWaterMark: 64 }) // 64 records in memory: they can have 8 MiB each
  const skip = (at: string, to: bigint) => stream.offsetsToFetch.get(at)! < to && stream.offsetsToFetch.set(at, to)
  stream.on('offsets', () => first.forEach((all, topic) => all.forEach((offset, n) => skip(`${topic}:${n}`, offset))))
  consumer.on('error', error => stream.destroy(error))
  stop.signal.addEventListener('abort', () => stream.close())
  // The client keeps commits until a rebalance is over. Then the partition may be another's.
  let [settled, fetches] = [Promise.resolve<unknown>(0), new Set<Promise<boolean>>()]
  consumer.on('consumer:group:rebalance', () => settled = once(consumer, 'consumer:group:join', stop).catch(() => {}))
  // Per partition the offset taken last, and the commit due last: it waits for that before, and its record's recording.
  const [taken, commits] = [new Map<string, bigint>(), new Map<string, Promise<boolean>>()]
  for await (const message of stream) {
    const { topic, partition, offset } = message
    const held = () => consumer.assignments?.find(one => one.topic === topic)?.partitions.includes(partition)
    const place = `${topic} ${partition}` // after a rebalance, the client reads again what is in its hands
    const event = await take(message, () => held() && offset > (taken.get(place) ?? -1n) && !stop.signal.aborted)
    if (event === undefined) continue
    taken.set(place, offset)
    const here = typeof event === 'string' ? Promise.resolve(true) : fetchRecording(event)
    if (fetches.add(here).size >= 32) await Promise.race(fetches) // so many on their way or waiting for their next try
    void here.then(() => fetches.delete(here))
    const commit = async () => (await settled, held() && message.commit())
    commits.set(place, Promise.all([commits.get(place), here]).then(async all => !all.includes(false) &&
      (await commit().catch(error => log('offset not kept, its record comes again:', error)), true)))
  }
  await Promise.all(commits.values())
}
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => stop.abort())
for (const folder of ['calls', 'recordings']) await fs.mkdir(`${FOLDER}/${folder}`, { recursive: true })
let ready = () => { console.log('ready'); ready = () => {} }
while (!stop.signal.aborted) { // where Kafka fails for longer than the client tries, it begins anew
  const consumer = new kafka.Consumer({ ...KAFKA, groupId: KAFKA_GROUP, sessionTimeout: 15_000,
    partitionAssigner: assign, deserializers: { headerKey: kafka.stringDeserializer } })
  consumer.on('consumer:group:join', () => consumer.assignments?.length && ready())
  await consume(consumer).finally(() => consumer.close(true)).catch(error => (log('Kafka:', error), pause(1000)))
}
await producer.close()
