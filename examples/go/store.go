// The store: SQLite, one row for each call, and what has been seen in the same transaction.
package main

import (
	"database/sql"
	_ "embed"
	"math/rand/v2"
	"strings"

	_ "modernc.org/sqlite"
)

//go:embed store.sql
var file string
var statements = strings.Split(file, ";\n\n") // the tables, an event that fills, an event that replaces

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
	t.exec(statements[0])
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
func (t *transaction) save(c *call, kind, id, at, position, origin string) {
	var run any // NULL for all but the replay that was announced
	if replay != "" && origin == "replay:"+replay {
		run = replay
	}
	first := t.exec("INSERT INTO seen VALUES (?1, unixepoch(), ?2) ON CONFLICT DO NOTHING", id, run)
	again := run != nil && t.exec("UPDATE seen SET seen_at = unixepoch(), replay = ?2 WHERE ce_id = ?1 AND replay IS NOT ?2", id, run)
	if !first && !again {
		return
	}
	said := []any{c.ID, c.Agent, c.Started, nil, nil, nil, first, false, nil, nil, nil}
	over := kind == "call_ended" || kind == "call_analyzed"
	if over {
		said[3], said[4], said[5] = c.Ended, c.Reason, c.Transcript
	}
	if kind == "call_analyzed" {
		said[7], said[8], said[9], said[10] = first, c.Analysis.Summary, at, position
	}
	t.exec(statements[1], said...)
	if over {
		t.exec(statements[2], said...)
	}
}

// Now and then. How long to remember: longer than this consumer can fall behind or be set back (the topics' retention), and than any
// replay that REPLAY does not announce reaches back. What comes again later than that counts as new.
func (t *transaction) forget() {
	if rand.IntN(1000) == 0 {
		t.exec("DELETE FROM seen WHERE seen_at < unixepoch() - 7 * 24 * 3600")
	}
}
