package main

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

type object = map[string]json.RawMessage

// The topic with everything has other types too. Without the header it is the body that tells.
func ofCall(r *kgo.Record) bool {
	of := strings.TrimPrefix(header(r, "ce_type"), "com.retellai.")
	return slices.Contains([]string{"", "call_started", "call_ended", "call_analyzed"}, of)
}

// Reads an event, the values for store.sql; or says why it is none, which no second try can help.
func read(r *kgo.Record) (said []any, reason string) {
	e := *cmp.Or(as[object](r.Value), &object{})
	c := *cmp.Or(as[object](e["call"]), as[object](e["data"]), &object{}) // data is its older name
	a := *cmp.Or(as[object](c["call_analysis"]), &object{})
	event, call := cmp.Or(as[string](e["event"]), new("")), cmp.Or(as[string](c["call_id"]), new(""))
	id, run := header(r, "ce_id"), ""
	switch {
	case id == "":
		return nil, "no_ce_id"
	case len(keys) > 0 && !signed(r):
		return nil, "signature"
	case !utf8.Valid(r.Value), *event == "", *call == "":
		return nil, "unreadable"
	case header(r, "retell_origin") == "replay:"+replay:
		run = replay
	}
	said = []any{id, run, *event, *call, as[string](c["agent_id"]), whole(c["start_timestamp"]),
		whole(c["end_timestamp"]), as[string](c["disconnection_reason"]), as[string](c["transcript"]),
		as[string](a["call_summary"]), header(r, "ce_time"), header(r, "retell_position")}
	// An event sets only what it knows: so much of it each does.
	clear(said[cmp.Or(map[string]int{"call_ended": 9, "call_analyzed": 12}[*event], 6):])
	return said, ""
}

// Has a signature held since the start? As long as none has, the keys are likelier wrong than an event is forged:
// that one waits, as when the store is away, and not all events are set aside for wrong keys.
var proven bool
var errUnproven = errors.New("no signature has held since the start. Are RETELL_API_KEYS the bridge's, " +
	"and that of before among them, where events are older than the key? Set them and start again")

func signed(r *kgo.Record) bool {
	return verify(r.Value, header(r, "retell_signature"), header(r, "ce_time"), keys)
}

// Optional: is the value what Retell signed? The clock is ce_time: Retell's own check refuses what is five minutes
// old. WARNING: such a key can also place calls, and the bridge has checked: few consumers should hold it.
func verify(raw []byte, sent, at string, keys []string) bool {
	var v int64
	fmt.Sscanf(sent, "v=%d,", &v) // whether all of it is right is seen below
	clock, err := time.Parse(time.RFC3339Nano, at)
	inTime := err == nil && clock.Sub(time.UnixMilli(v)).Abs() <= 5*time.Minute
	return inTime && slices.ContainsFunc(keys, func(key string) bool {
		mac := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(mac, "%s%d", raw, v)
		return hmac.Equal(fmt.Appendf(nil, "v=%d,d=%x", v, mac.Sum(nil)), []byte(sent))
	})
}

func header(r *kgo.Record, name string) (value string) {
	for _, h := range r.Headers {
		if h.Key == name {
			value = string(h.Value)
		}
	}
	return value
}

// What is of another type than T is as if it were not there, and erases nothing.
func as[T any](field json.RawMessage) (value *T) {
	if json.Unmarshal(field, &value) != nil {
		value = nil
	}
	return value
}

// A whole number, which JSON may print as 1714608475945.0 too.
func whole(field json.RawMessage) *int64 {
	n, f := as[int64](field), as[float64](field)
	if n == nil && f != nil && *f == math.Trunc(*f) && math.Abs(*f) < 1<<53 {
		n = new(int64(*f))
	}
	return n
}
