// Reads a record of retell-bridge: the event in it, or the reason why no second try can help.
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Message } from '@platformatic/kafka'
import type { CallResponse } from 'retell-sdk/resources/call'

export type Event = {
  id: string
  at: string
  position: bigint
  origin: string
  type: string
  call: CallResponse
}

const CALL = /^(com\.retellai\.call_(started|ended|analyzed))?$/

// Did Retell sign this? With the event's time as the clock: the SDK's own check refuses what is five minutes
// old. Optional, the bridge has checked. WHOEVER HOLDS THE KEY CAN PLACE CALLS: give it to as few consumers as
// you can.
export function verify(value: Buffer, signature: string, ceTime: string, keys: string[]): boolean {
  const [, stamp, digest] = /^v=([0-9]{1,15}),d=([0-9a-f]{64})$/.exec(signature) ?? []
  if (!stamp || !digest || !ceTime.endsWith('Z')) return false
  const own = (key: string) => createHmac('sha256', key).update(value).update(String(Number(stamp))).digest()
  const signed = keys.some(key => timingSafeEqual(own(key), Buffer.from(digest, 'hex')))
  return signed && Math.abs(Date.parse(ceTime) - Number(stamp)) <= 300_000
}

// The event, or a reason; undefined: of a type that is not a call's.
export type Found = Event | string | undefined

// Pure: whatever fails in here is the record's own fault.
export function read({ value, headers }: Message, keys: string[]): Found {
  const texts = new Map([...headers].map(([name, value]) => [String(name), String(value ?? '')]))
  const header = (name: string) => texts.get(name) ?? ''
  if (!CALL.test(header('ce_type'))) return undefined
  if (!header('ce_id')) return 'no_ce_id'
  try {
    if (keys.length && !verify(value ?? Buffer.alloc(0), header('retell_signature'), header('ce_time'), keys)) return 'signature'
    const body = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value))
    const call: CallResponse = body.call ?? body.data // `data`: its older name
    if (!(text(body.event) && text(call.call_id))) return 'unreadable'
    const position = BigInt(header('retell_position'))
    const origin = header('retell_origin')
    return { id: header('ce_id'), at: header('ce_time'), position, origin, type: body.event, call }
  } catch {
    return 'unreadable'
  }
}

export const text = (value: unknown) => (typeof value === 'string' ? value : null)
export const number = (value: unknown) => (Number.isSafeInteger(value) ? (value as number) : null)
