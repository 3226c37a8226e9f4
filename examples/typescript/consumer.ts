// Keeps one JSON file per Retell call and fetches the recordings of calls whose storage is off, from retell-bridge's topics.
// Kafka hands out each record at least once; the ids seen lie in one file with the effect, which makes that once.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { createWriteStream, existsSync, promises as fs } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Consumer, type Message, Producer, stringDeserializer, stringSerializer } from '@platformatic/kafka'
import type { CallResponse } from 'retell-sdk/resources/call'

const env = (name: string, otherwise: string) => process.env[name] ?? otherwise
const GROUP = env('KAFKA_GROUP', 'retell-typescript')
const TOPICS = env('TOPICS', 'retell.call_started,retell.call_ended,retell.call_analyzed').split(',')
const DEAD_LETTERS = env('DEAD_LETTERS', `retell.${GROUP}.dead`)
const REPLAY = process.env.REPLAY // a run id printed by `retell-bridge replay`: its records are taken once more
const KEYS = env('RETELL_API_KEYS', '').split(',').filter(Boolean)
const FOLDER = env('FOLDER', 'retell')
const KAFKA = { clientId: GROUP, bootstrapBrokers: env('KAFKA_BROKERS', 'localhost:9092').split(',') } // tls, sasl: here
const REMEMBER_S = 7 * 24 * 3600 // longer than bridge, topic or group can go back, and than any replay not named above
const RECORDING_MS = 10 * 60_000 // a link to a recording lives so long
const FETCHES_MAX = 32 // so many recordings on their way or waiting for their next try; then consumption waits too

type Event = { id: string; at: string; position: bigint; replay: string | null; type: string; call: CallResponse }
type Row = Record<string, any> // names as in `blank` below
type Kafka = Message<Buffer, Buffer, string, Buffer>
const stop = new AbortController()
const log = (line: string) => console.error(line) // kinds, places and hashes: never a body, key, number or link
const kind = (error: any) => error?.code ?? error?.name
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const text = (value: unknown) => (typeof value === 'string' ? value : null)
const number = (value: unknown) => (Number.isSafeInteger(value) ? (value as number) : null)
const pause = (ms: number) => sleep(ms, undefined, { signal: stop.signal }).catch(() => {})

// Did Retell sign this? With the event's time as the clock: the SDK's own check refuses what is five minutes old.
// Optional, the bridge has checked. WHOEVER HOLDS THE KEY CAN PLACE CALLS: give it to as few consumers as you can.
export function verify(value: Buffer, signature: string, ceTime: string, keys: string[]): boolean {
  const [, stamp, digest] = /^v=([0-9]{1,16}),d=([0-9a-f]{64})$/.exec(signature) ?? []
  if (!(Math.abs(Date.parse(ceTime) - Number(stamp)) <= 300_000)) return false
  const own = (key: string) => createHmac('sha256', key).update(value).update(String(Number(stamp))).digest()
  return keys.some(key => timingSafeEqual(own(key), Buffer.from(digest, 'hex')))
}

// The event, or why no second try can help this record. Pure: whatever fails in here is the record's own fault.
function read(value: Buffer, headers: Map<string, Buffer>): Event | string {
  const [id, at, signature, position, origin] =
    ['ce_id', 'ce_time', 'retell_signature', 'retell_position', 'retell_origin'].map(name => String(headers.get(name) ?? ''))
  if (!id) return 'no_ce_id'
  try {
    if (KEYS.length && !verify(value, signature, at, KEYS)) return 'signature'
    const body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value))
    const call: CallResponse = body.call ?? body.data // `data`: its older name
    if (!(text(body.event) && text(call.call_id))) return 'unreadable'
    const replay = REPLAY && origin === `replay:${REPLAY}` ? REPLAY : null
    return { id, at, position: BigInt(position), replay, type: body.event, call }
  } catch {
    return 'unreadable'
  }
}

// Each event sets only what it knows, whenever it comes: where it `wins` it replaces, else it only fills gaps.
function merge(row: Row, { type, call, at, position }: Event, again: boolean) {
  const late = type === 'call_ended' || type === 'call_analyzed'
  let wins = late && row.analyzed_at === null
  if (type === 'call_analyzed') { // an analysis can be run again: the later one wins, in whichever order they come
    const last = row.analyzed_at
    wins ||= at > last || (at === last && position >= BigInt(row.analyzed_position))
    if (wins) Object.assign(row, { analyzed_at: at, analyzed_position: String(position) })
    if (wins) row.summary = text(call.call_analysis?.call_summary)
  }
  const known: Row = { agent_id: text(call.agent_id), started_ms: number(call.start_timestamp) }
  if (late) Object.assign(known, { ended_ms: number(call.end_timestamp), reason: text(call.disconnection_reason) })
  if (late) known.transcript = text(call.transcript)
  for (const name in known) if (known[name] !== null && (wins || row[name] === null)) row[name] = known[name]
  if (!again) row.events += 1
  if (!again && type === 'call_analyzed') row.analyses += 1
}

// The effect and the memory of it in one file, renamed into its place: after a kill both are there, or neither.
const blank = { agent_id: null, started_ms: null, ended_ms: null, reason: null, transcript: null, summary: null,
  analyses: 0, analyzed_at: null, analyzed_position: null, events: 0, seen: {} }
async function store(event: Event) {
  const [call_id, path] = [event.call.call_id, `${FOLDER}/calls/${sha256(event.call.call_id)}.json`]
  const old = existsSync(path) ? JSON.parse(await fs.readFile(path, 'utf8')) : { call_id, ...structuredClone(blank) }
  const [known, now] = [old.seen[event.id], Math.floor(Date.now() / 1000)]
  if (known && (!event.replay || event.replay === known[1])) return
  merge(old, event, !!known)
  old.seen[event.id] = [now, event.replay]
  for (const id in old.seen) if (old.seen[id][0] < now - REMEMBER_S) delete old.seen[id]
  await fs.writeFile(`${path}.new`, JSON.stringify(old), { flush: true })
  await fs.rename(`${path}.new`, path)
}

// Where storage is off, this link is the only way to the recording. True when it is here or given up; false at a stop:
// the offset of its record is then not committed, so that the record, and with it the link, comes again at the next start.
async function fetchRecording({ id, at, call }: Event): Promise<boolean> {
  const off = call.data_storage_setting === 'basic_attributes_only' || 'opt_out_sensitive_data_storage' in call && call.opt_out_sensitive_data_storage
  const url = off && URL.canParse(call.recording_url ?? '') ? new URL(call.recording_url!) : null
  if (!url) return true
  const path = `${FOLDER}/recordings/${sha256(call.call_id)}${/\.[a-z0-9]{1,5}$/i.exec(url.pathname)?.[0] ?? '.wav'}`
  for (let wait = 500; !existsSync(path); wait = Math.min(wait * 2, 30_000)) {
    try {
      const answer = await fetch(url, { signal: AbortSignal.any([stop.signal, AbortSignal.timeout(120_000)]) })
      if (!answer.ok) throw new Error('refused')
      await pipeline(Readable.fromWeb(answer.body as any), createWriteStream(`${path}.${id}`, { flush: true }))
      await fs.rename(`${path}.${id}`, path)
    } catch {
      if (stop.signal.aborted) return false
      if (!(Date.now() + wait < Date.parse(at) + RECORDING_MS)) return log(`recording given up: ${path}`), true
      await pause(wait)
    }
  }
  return true
}

// Takes a record, or sets it aside. What fails here is not its fault: it stays in hand. Undefined: a stop came first.
const producer = new Producer<Buffer, Buffer, string, Buffer>({ ...KAFKA, serializers: { headerKey: stringSerializer } })
async function take({ topic, partition, offset, key, value, headers }: Kafka): Promise<Event | string | undefined> {
  const event = read(value, headers)
  if (typeof event === 'string') log(`dead letter (${event}): ${topic} ${partition} ${offset}`)
  for (let wait = 500; !stop.signal.aborted; wait = Math.min(wait * 2, 30_000)) {
    try {
      if (typeof event !== 'string') await store(event)
      else await producer.send({ messages: [{ topic: DEAD_LETTERS, key, value, headers: new Map([...headers, ['reason', Buffer.from(event)]]) }] })
      return event
    } catch (error) {
      log(`tries again in ${wait} ms: ${kind(error)}`)
      await pause(wait)
    }
  }
}

let ready = false
async function consume() {
  const consumer = new Consumer({ ...KAFKA, groupId: GROUP, sessionTimeout: 15_000, deserializers: { headerKey: stringDeserializer } })
  consumer.on('consumer:group:join', () => {
    if (!ready && consumer.assignments?.length) console.log('ready')
    ready ||= !!consumer.assignments?.length
  })
  const stream = await consumer.consume({ topics: TOPICS, mode: 'committed', fallbackMode: 'earliest', autocommit: false,
    maxWaitTime: 500, highWaterMark: 64 }) // 64 records in memory: they can have 8 MiB each
  consumer.on('error', error => stream.destroy(error))
  stop.signal.addEventListener('abort', () => stream.close())
  const queues = new Map<string, { message: Kafka; done: boolean }[]>() // per partition: what is not committed yet
  const finishing = new Set<Promise<void>>()
  try {
    for await (const message of stream) {
      const event = await take(message)
      if (event === undefined) break
      const entry = { message, done: false }
      const place = `${message.topic} ${message.partition}`
      const queue = queues.get(place) ?? queues.set(place, []).get(place)!
      queue.push(entry)
      const finish = async () => {
        entry.done = typeof event === 'string' || (await fetchRecording(event))
        const open = queue.findIndex(({ done }) => !done)
        await queue.splice(0, open < 0 ? queue.length : open).at(-1)?.message.commit()
      } // an offset that Kafka does not take is no loss: its record comes again, and `seen` knows it
      const it = finish().catch(error => log(`offset not kept: ${kind(error)}`)).finally(() => finishing.delete(it))
      finishing.add(it)
      while (finishing.size >= FETCHES_MAX) await Promise.race(finishing)
    }
  } finally {
    await Promise.all(finishing)
    await consumer.close(true)
  }
}

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => stop.abort())
for (const folder of ['calls', 'recordings']) await fs.mkdir(`${FOLDER}/${folder}`, { recursive: true })
while (!stop.signal.aborted) {
  await consume().catch(error => log(`Kafka: ${kind(error)}`)) // begins anew: at the offsets committed
  await pause(1000)
}
await producer.close()
