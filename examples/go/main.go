// Reads Retell's events from the topics of retell-bridge into SQLite, one row for each call. Settings: README.md.
package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	_ "embed"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite"
)

var group, replay, keys = env("KAFKA_GROUP", "retell-go"), env("REPLAY", ""), env("RETELL_API_KEYS", "")
var deadLetters = env("DEAD_LETTERS", "retell."+group+".dead")

//go:embed store.sql
var takeEvent string

type object = map[string]json.RawMessage

func main() {
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	db, _ := sql.Open("sqlite", env("DATABASE", "calls.sqlite")+"?_txlock=immediate&_timeout=5000&_journal_mode=WAL")
	// How often we were given partitions, and they were taken: a batch of before is another's, its offsets not ours.
	var assigned, revoked atomic.Int64
	taken := func(context.Context, *kgo.Client, map[string][]int32) { revoked.Add(1) }
	kafka, err := kgo.NewClient(
		kgo.ConsumerGroup(group), kgo.SeedBrokers(list(env("KAFKA_BROKERS", "localhost:9092"))...),
		kgo.ConsumeTopics(list(env("TOPICS", "retell.call_started,retell.call_ended,retell.call_analyzed"))...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		// One consumer gets the same partition of every topic, all that there is of a call, and keeps it for a batch.
		kgo.Balancers(kgo.RangeBalancer()), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
			if len(given) > 0 && assigned.Add(1) == 1 {
				fmt.Println("ready")
			}
		}),
		kgo.OnPartitionsRevoked(taken), kgo.OnPartitionsLost(taken),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)), kgo.DefaultProduceTopic(deadLetters),
		// As large as the bridge takes a body; and what Kafka does not take is tried again sooner than a stop must end.
		kgo.ProducerBatchMaxBytes(9<<20), kgo.RecordDeliveryTimeout(8*time.Second), kgo.RetryTimeout(8*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	for stop.Err() == nil {
		fetches := kafka.PollRecords(stop, 500)
		if err := fetches.Err(); err != nil && stop.Err() == nil {
			log.Println("cannot read:", err)
		}
		batch, done, before := fetches.Records(), 0, revoked.Load()
		// What fails is no record's fault: nothing is skipped. The client keeps us in the group meanwhile.
		backoff.Retry(stop, func() (any, error) {
			defer kafka.AllowRebalance()
			for ; done < len(batch) && stop.Err() == nil && revoked.Load() == before; done++ {
				if err := take(db, kafka, batch[done]); err != nil {
					return nil, err
				}
			}
			if revoked.Load() != before {
				return nil, nil
			}
			return nil, kafka.CommitRecords(context.Background(), batch[:done]...)
		}, backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, wait time.Duration) {
			log.Printf("not taken, again in %v: %v", wait, err)
		}))
	}
	kafka.CloseAllowingRebalance() // leaves the group
}

// Takes a record into the store, or, where it is poison, to the dead letters. Without an error that is durable.
func take(db *sql.DB, kafka *kgo.Client, r *kgo.Record) error {
	header, reason, run := map[string]string{}, "", ""
	for _, h := range r.Headers {
		header[h.Key] = string(h.Value)
	}
	e := *cmp.Or(as[object](r.Value), &object{})
	c := *cmp.Or(as[object](e["call"]), as[object](e["data"]), &object{}) // data is its older name
	a := *cmp.Or(as[object](c["call_analysis"]), &object{})
	event, call := cmp.Or(as[string](e["event"]), new("")), cmp.Or(as[string](c["call_id"]), new(""))
	switch {
	case header["ce_id"] == "":
		reason = "no_ce_id"
	case keys != "" && !verify(r.Value, header["retell_signature"], header["ce_time"], list(keys)):
		reason = "signature"
	case !utf8.Valid(r.Value), *event == "", *call == "":
		reason = "unreadable"
	case header["retell_origin"] == "replay:"+replay:
		run = replay
	}
	if reason != "" {
		log.Printf("%s-%d@%d to %s: %s", r.Topic, r.Partition, r.Offset, deadLetters, reason)
		headers := append(r.Headers, kgo.RecordHeader{Key: "reason", Value: []byte(reason)})
		letter := &kgo.Record{Key: r.Key, Value: r.Value, Headers: headers}
		return kafka.ProduceSync(context.Background(), letter).FirstErr()
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	said := []any{header["ce_id"], run, *event, *call, as[string](c["agent_id"]), as[int64](c["start_timestamp"]),
		as[int64](c["end_timestamp"]), as[string](c["disconnection_reason"]), as[string](c["transcript"]),
		as[string](a["call_summary"]), header["ce_time"], header["retell_position"]}
	clear(said[cmp.Or(map[string]int{"call_ended": 9, "call_analyzed": 12}[*event], 6):]) // so much of it each knows
	if _, err := tx.Exec(takeEvent, said...); err != nil {
		return err
	}
	return tx.Commit()
}

// Optional: is the value what Retell signed? The clock is ce_time: Retell's own refuses what is older than 5 minutes.
// WARNING: this key can also place calls, and the bridge has checked already: most consumers should not hold it.
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

// What is of another type than T is as if it were not there, and erases nothing.
func as[T any](field json.RawMessage) (value *T) {
	if json.Unmarshal(field, &value) != nil {
		value = nil
	}
	return value
}

func env(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }
func list(of string) []string           { return strings.Fields(strings.ReplaceAll(of, ",", " ")) }
