// One JSON file per Retell call, and the recordings of calls whose storage is off, from the topics of retell-bridge.
// Kafka hands out each record at least once; the ids seen lie in one file with the effect, which makes that once.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { existsSync, promises as fs } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Consumer, type Message, Producer, stringDeserializer, stringSerializer } from '@platformatic/kafka'
import type { CallResponse } from 'retell-sdk/resources/call'

const { KAFKA_BROKERS = 'localhost:9092', KAFKA_GROUP = 'retell-typescript', FOLDER = 'retell' } = process.env
const { TOPICS = 'retell.call_started,retell.call_ended,retell.call_analyzed' } = process.env
const { DEAD_LETTERS = `retell.${KAFKA_GROUP}.dead`, RETELL_API_KEYS: KEYS, REPLAY } = process.env // a replay's run id
const KAFKA = { clientId: KAFKA_GROUP, bootstrapBrokers: KAFKA_BROKERS.split(',') } // tls and sasl belong here
const [NAMES, TEXTS] = [{ headerKey: stringSerializer }, { headerKey: stringDeserializer }] // of headers
const REMEMBER_S = 7 * 24 * 3600 // longer than bridge, topic or group can go back, and than any replay not named above
const RECORDING_MS = 10 * 60_000 // so long a link to a recording lives
const FETCHES_MAX = 32 // so many recordings on their way or waiting for their next try; then consumption waits too
type Event = { id: string; at: string; position: bigint; replay: boolean; type: string; call: CallResponse }
const stop = new AbortController()
setMaxListeners(0, stop.signal) // each wait is one
const log = (line: string, error?: any) => console.error(line, error?.code ?? error?.name ?? '') // no body, key or link
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const text = (value: unknown) => (typeof value === 'string' ? value : null)
const number = (value: unknown) => (Number.isSafeInteger(value) ? (value as number) : null)
const pause = (ms: number) => sleep(ms, undefined, { signal: stop.signal }).catch(() => {})

// Did Retell sign this? With the event's time as the clock: the SDK's own check refuses what is five minutes old.
// Optional, the bridge has checked. WHOEVER HOLDS THE KEY CAN PLACE CALLS: give it to as few consumers as you can.
export function verify(value: Buffer, signature: string, ceTime: string, keys: string[]): boolean {
  const [, stamp, digest] = /^v=([0-9]{1,15}),d=([0-9a-f]{64})$/.exec(signature) ?? []
  const own = (key: string) => createHmac('sha256', key).update(value).update(String(Number(stamp))).digest()
  return Math.abs(Date.parse(ceTime) - Number(stamp)) <= 300_000 &&
    keys.some(key => timingSafeEqual(own(key), Buffer.from(digest, 'hex')))
}

// The event, or why no second try can help this record. Pure: whatever fails in here is the record's own fault.
function read(value: Buffer, headers: Map<string, Buffer>): Event | string {
  const header = (name: string) => headers.get(name)?.toString() ?? ''
  if (!header('ce_id')) return 'no_ce_id'
  try {
    if (KEYS && !verify(value, header('retell_signature'), header('ce_time'), KEYS.split(','))) return 'signature'
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
  let wins = late && row.analyzed_at === null
  if (type === 'call_analyzed') { // an analysis can be run again: the later one wins, in whichever order they come
    wins ||= at > row.analyzed_at || (at === row.analyzed_at && position >= BigInt(row.analyzed_position))
    const summary = text(call.call_analysis?.call_summary)
    if (wins) Object.assign(row, { summary, analyzed_at: at, analyzed_position: String(position) })
    row.analyses += again ? 0 : 1
  }
  const set = (name: string, value: unknown) => value !== null && (wins || row[name] === null) && (row[name] = value)
  set('agent_id', text(call.agent_id)), set('started_ms', number(call.start_timestamp))
  if (late) set('ended_ms', number(call.end_timestamp)), set('reason', text(call.disconnection_reason))
  if (late) set('transcript', text(call.transcript))
  row.events += again ? 0 : 1
}

// The effect and the memory of it in one file, renamed into its place: after a kill both are there, or neither.
async function store(event: Event) {
  const [call_id, path] = [event.call.call_id, `${FOLDER}/calls/${sha256(event.call.call_id)}.json`]
  const row = existsSync(path) ? JSON.parse(await fs.readFile(path, 'utf8')) : { call_id, agent_id: null,
    started_ms: null, ended_ms: null, reason: null, transcript: null, summary: null, analyses: 0, analyzed_at: null,
    analyzed_position: null, events: 0, seen: {} }
  const [known, now] = [row.seen[event.id], Math.floor(Date.now() / 1000)]
  if (known && (!event.replay || known[1] === REPLAY)) return
  merge(row, event, !!known)
  row.seen[event.id] = [now, event.replay ? REPLAY : null]
  for (const id in row.seen) if (row.seen[id][0] < now - REMEMBER_S) delete row.seen[id]
  await fs.writeFile(`${path}.new`, JSON.stringify(row), { flush: true })
  await fs.rename(`${path}.new`, path)
}

// Where storage is off, this link is the only way to the recording. True when it is here or given up; false at a stop:
// the offset of its record is then not committed, so that the record and its link come again at the next start.
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
      if (!(Date.now() + wait < Date.parse(at) + RECORDING_MS)) return log(`recording given up: ${path}`), true
      await pause(wait)
    }
  }
  return true
}

// Takes a record, or sets it aside. What fails here is not its fault: it stays in hand. Undefined: a stop came first.
const producer = new Producer<Buffer, Buffer, string, Buffer>({ ...KAFKA, acks: -1, serializers: NAMES })
async function take({ topic, partition, offset, key, value, headers }: Message<Buffer, Buffer, string, Buffer>) {
  const event = read(value, headers)
  if (typeof event === 'string') log(`dead letter (${event}): ${topic} ${partition} ${offset}`)
  const letter = { topic: DEAD_LETTERS, key, value, headers: new Map(headers).set('reason', Buffer.from(`${event}`)) }
  for (let wait = 500; !stop.signal.aborted; wait = Math.min(wait * 2, 30_000)) {
    const work = typeof event === 'string' ? producer.send({ messages: [letter] }) : store(event)
    if (await work.then(() => true, error => log(`tries again in ${wait} ms:`, error))) return event
    await pause(wait)
  }
}

async function consume(consumer: Consumer<Buffer, Buffer, string, Buffer>) {
  const first = await consumer.listOffsets({ topics: TOPICS.split(','), timestamp: -2n }) // what retention has left
  const stream = await consumer.consume({ topics: TOPICS.split(','), mode: 'committed', fallbackMode: 'earliest',
    autocommit: false, maxWaitTime: 500, highWaterMark: 64 }) // 64 records in memory: they can have 8 MiB each
  // What is committed but no longer there, the client would ask for again and again.
  const skip = (at: string, to: bigint) => stream.offsetsToFetch.get(at)! < to && stream.offsetsToFetch.set(at, to)
  stream.on('offsets', () => first.forEach((all, topic) => all.forEach((offset, n) => skip(`${topic}:${n}`, offset))))
  consumer.on('error', error => stream.destroy(error))
  stop.signal.addEventListener('abort', () => stream.close())
  // Per partition the commit that is due last: it waits for the one before it, and for its record's recording.
  const [commits, fetches] = [new Map<string, Promise<boolean>>(), new Set<Promise<boolean>>()]
  for await (const message of stream) {
    const [event, place, { commit }] = [await take(message), `${message.topic} ${message.partition}`, message]
    if (event === undefined) break
    const here = typeof event === 'string' ? Promise.resolve(true) : fetchRecording(event)
    fetches.add(here).size >= FETCHES_MAX && (await Promise.race(fetches))
    void here.then(() => fetches.delete(here))
    const told = (error: any) => log('offset not kept, its record comes again:', error)
    const due = Promise.all([commits.get(place), here]).then(all => !all.includes(false))
    commits.set(place, due.then(async yes => yes && (await Promise.resolve(commit()).catch(told), true)))
  }
  await Promise.all(commits.values())
}

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => stop.abort())
for (const folder of ['calls', 'recordings']) await fs.mkdir(`${FOLDER}/${folder}`, { recursive: true })
let ready = () => { console.log('ready'); ready = () => {} }
while (!stop.signal.aborted) {
  const consumer = new Consumer({ ...KAFKA, groupId: KAFKA_GROUP, sessionTimeout: 15_000, deserializers: TEXTS })
  consumer.on('consumer:group:join', () => consumer.assignments?.length && ready())
  // Where Kafka fails for longer than the client tries, it begins anew, from the offsets committed.
  await consume(consumer).finally(() => consumer.close(true)).catch(error => (log('Kafka:', error), pause(1000)))
}
await producer.close()
