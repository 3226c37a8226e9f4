// One file per call, and the recordings of calls whose storage is off.
import { createHash } from 'node:crypto'
import { existsSync, promises as fs } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { number, text, type Event } from './event.js'

const { FOLDER = 'retell', REPLAY } = process.env // a replay's run id, printed by `retell-bridge replay`
const FETCHES_MAX = 32 // at once
const LINK_LIVES_MS = 600_000

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

export async function makeFolders() {
  for (const folder of ['calls', 'recordings']) await fs.mkdir(`${FOLDER}/${folder}`, { recursive: true })
}

// Written beside its place, renamed into it, and flushed with its folder: after a kill or a power cut it is
// there whole, or as it was.
async function put(path: string, content: any, beside: string) {
  await fs.writeFile(beside, content, { flush: true })
  await fs.rename(beside, path)
  const folder = await fs.open(dirname(path))
  await folder.sync().finally(() => folder.close())
}

// The effect and the memory of it are in one file. Comes back with the link to a recording that is to be fetched.
export async function store(event: Event): Promise<Link | undefined> {
  const path = `${FOLDER}/calls/${sha256(event.call.call_id)}.json`
  const before = existsSync(path) ? JSON.parse(await fs.readFile(path, 'utf8')) : {}
  const row = { call_id: event.call.call_id, analyses: 0, events: 0, seen: {} as any, ...before }
  const known = event.id in row.seen
  const replay = event.origin === `replay:${REPLAY}` ? REPLAY : null
  if (known && (!replay || row.seen[event.id][1] === replay)) {
    // After a kill its recording may not be here yet. Of a call that is erased, with `seen` alone left, none is wanted.
    return before.call_id ? linkOf(event) : undefined
  }
  merge(row, event, known)
  row.seen[event.id] = [Math.floor(Date.now() / 1000), replay] // goes when the call's file goes
  await put(path, JSON.stringify(row), `${path}.new`)
  return linkOf(event)
}

// Each event sets only what it knows, whenever it comes: where it `wins` it replaces, else it only fills gaps.
function merge(row: any, { type, call, at, position }: Event, again: boolean) {
  const late = type === 'call_ended' || type === 'call_analyzed'
  let wins = late && !row.analyzed_at
  if (type === 'call_analyzed') {
    // An analysis can be run again: the later one wins, in whichever order they come.
    wins ||= at > row.analyzed_at || (at === row.analyzed_at && position >= BigInt(row.analyzed_position))
    const summary = text(call.call_analysis?.call_summary)
    if (wins) Object.assign(row, { summary, analyzed_at: at, analyzed_position: String(position) })
  }
  const early = { agent_id: text(call.agent_id), started_ms: number(call.start_timestamp) }
  const ended = { ended_ms: number(call.end_timestamp), reason: text(call.disconnection_reason) }
  const said = late ? { ...early, ...ended, transcript: text(call.transcript) } : early
  for (const [name, value] of Object.entries(said)) {
    if (value !== null && (wins || row[name] == null)) row[name] = value
  }
  if (!again) row.events++
  if (!again && type === 'call_analyzed') row.analyses++
}

export type Link = { url: URL; path: string; beside: string; until: number }

// Where a call's storage is off, this link is the only way to its recording.
function linkOf({ id, at, call }: Event): Link | undefined {
  const older = (call as any).opt_out_sensitive_data_storage // the name before
  const off = call.data_storage_setting === 'basic_attributes_only' || older
  if (!off || !URL.canParse(call.recording_url ?? '')) return undefined
  const url = new URL(call.recording_url!)
  const path = `${FOLDER}/recordings/${sha256(call.call_id)}${url.pathname.match(/\.\w{1,5}$/)?.[0] ?? '.wav'}`
  return { url, path, beside: `${path}.${sha256(id)}`, until: Date.parse(at) + LINK_LIVES_MS }
}

// False at a stop: then its record is to come again. What waits for its next try holds no more than its link.
export async function fetchRecording(link: Link, stop: AbortSignal, log: (line: string) => void) {
  const { url, path, beside, until } = link
  for (let wait = 500; !existsSync(path); wait = Math.min(wait * 2, 30_000)) {
    try {
      await inTurn(async () => {
        const answer = await fetch(url, { signal: AbortSignal.any([stop, AbortSignal.timeout(120_000)]) })
        if (!answer.ok) throw new Error('refused')
        await put(path, answer.body, beside)
      })
    } catch {
      if (stop.aborted) return false
      if (!(Date.now() + wait < until)) {
        // No half of what somebody said stays.
        await fs.rm(beside, { force: true }).catch(() => {})
        log(`recording given up: ${path}`)
        return true
      }
      await sleep(wait, undefined, { signal: stop }).catch(() => {})
    }
  }
  return true
}

// What is being fetched takes memory and connections; what waits for its next try does not.
let fetching = 0
const waiting: (() => void)[] = []
async function inTurn(work: () => Promise<void>) {
  if (fetching >= FETCHES_MAX) await new Promise<void>(resolve => waiting.push(resolve))
  else fetching++
  try {
    await work()
  } finally {
    const next = waiting.shift()
    if (next) next() // takes the place of this one
    else fetching--
  }
}
