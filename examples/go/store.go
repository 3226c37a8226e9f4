// The store: SQLite, one row for each call, and what has been seen in the same transaction.
package main

import (
	"database/sql"

	_ "modernc.org/sqlite"
)

const tables = `
CREATE TABLE IF NOT EXISTS calls(call_id TEXT PRIMARY KEY, agent_id TEXT, started_ms BIGINT, ended_ms BIGINT, reason TEXT, transcript TEXT,
  summary TEXT, analyses INTEGER NOT NULL DEFAULT 0, analyzed_at TEXT, analyzed_position TEXT, events INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS seen(ce_id TEXT PRIMARY KEY, seen_at BIGINT NOT NULL, replay TEXT)`

// Events come late, out of order, or never. Each one fills what is still empty.
const fill = `
INSERT INTO calls(call_id, agent_id, started_ms, ended_ms, reason, transcript, events, analyses)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET agent_id = coalesce(agent_id, ?2), started_ms = coalesce(started_ms, ?3),
  ended_ms = coalesce(ended_ms, ?4), reason = coalesce(reason, ?5), transcript = coalesce(transcript, ?6),
  events = events + ?7, analyses = analyses + ?8`

// And call_ended replaces what is there, as long as there is no analysis; call_analyzed does where it is the newest: an
// analysis can be run again, and the last one stays. (call_ended has no ?9 to ?11.)
const replace = `
UPDATE calls SET agent_id = coalesce(?2, agent_id), started_ms = coalesce(?3, started_ms), ended_ms = coalesce(?4, ended_ms),
  reason = coalesce(?5, reason), transcript = coalesce(?6, transcript), summary = ?9, analyzed_at = ?10, analyzed_position = ?11
WHERE call_id = ?1 AND (analyzed_at IS NULL OR (analyzed_at, CAST(analyzed_position AS INTEGER)) <= (?10, CAST(?11 AS INTEGER)))`

// What is used of an event. A field of another type than this is as if it were not there.
type event struct {
	Event string `json:"event"`
	Call  *call  `json:"call"`
	Data  *call  `json:"data"` // the older name of call
}
type call struct {
	ID         string   `json:"call_id"`
	Agent      *string  `json:"agent_id"`
	Started    *int64   `json:"start_timestamp"`
	Ended      *int64   `json:"end_timestamp"`
	Reason     *string  `json:"disconnection_reason"`
	Transcript *string  `json:"transcript"`
	Analysis   analysis `json:"call_analysis"`
}
type analysis struct {
	Summary *string `json:"call_summary"`
}

// A transaction that does nothing more after its first error, and keeps that.
type transaction struct {
	*sql.Tx
	err error
}

func begin(db *sql.DB) *transaction {
	tx, err := db.Begin()
	t := &transaction{tx, err}
	t.exec(tables)
	return t
}

// Runs a statement with as many of the values as it names; answers whether it changed a row.
func (t *transaction) exec(statement string, values ...any) bool {
	if t.err != nil {
		return false
	}
	var done sql.Result
	if done, t.err = t.Exec(statement, values...); t.err != nil {
		return false
	}
	rows, _ := done.RowsAffected()
	return rows > 0
}

func (t *transaction) end() error {
	if t.err != nil {
		if t.Tx != nil {
			t.Rollback()
		}
		return t.err
	}
	return t.Commit()
}

// Takes an event into the row of its call, once for each id; and once more for each run of a replay that was announced.
func (t *transaction) save(c *call, kind, id, at, position string, run any) {
	first := t.exec("INSERT INTO seen VALUES (?1, unixepoch(), ?2) ON CONFLICT DO NOTHING", id, run)
	again := run != nil && t.exec("UPDATE seen SET seen_at = unixepoch(), replay = ?2 WHERE ce_id = ?1 AND replay IS NOT ?2", id, run)
	if !first && !again {
		return
	}
	said := []any{c.ID, c.Agent, c.Started, nil, nil, nil, first, false, nil, nil, nil}
	if kind == "call_ended" || kind == "call_analyzed" {
		said[3], said[4], said[5] = c.Ended, c.Reason, c.Transcript
	}
	if kind == "call_analyzed" {
		said[7], said[8], said[9], said[10] = first, c.Analysis.Summary, at, position
	}
	t.exec(fill, said...)
	if kind == "call_ended" || kind == "call_analyzed" {
		t.exec(replace, said...)
	}
}

// How long to remember: longer than this consumer can fall behind or be set back (the topics' retention), and than any
// replay that REPLAY does not announce reaches back. What comes again later than that counts as new.
func (t *transaction) forget() {
	t.exec("DELETE FROM seen WHERE seen_at < unixepoch() - 7 * 24 * 3600")
}
