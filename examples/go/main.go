// Reads Retell's events from the topics of retell-bridge into SQLite, one row for each call. Settings: README.md.
package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

var group, replay, keys = env("KAFKA_GROUP", "retell-go"), env("REPLAY", ""), env("RETELL_API_KEYS", "")
var deadLetters = env("DEAD_LETTERS", "retell."+group+".dead")
var signature = regexp.MustCompile("^v=([0-9]{1,18}),d=([0-9a-f]{64})$")

func main() {
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	db, _ := sql.Open("sqlite", "file:"+env("DATABASE", "calls.db")+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	ready := sync.OnceFunc(func() { fmt.Println("ready") })
	kafka, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(env("KAFKA_BROKERS", "localhost:9092"), ",")...),
		kgo.ConsumeTopics(strings.Split(env("TOPICS", "retell.call_started,retell.call_ended,retell.call_analyzed"), ",")...),
		kgo.ConsumerGroup(group), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.RangeBalancer()), // one consumer gets the same partition of every topic: all that there is of a call
		kgo.BlockRebalanceOnPoll(),         // and keeps it until its batch is done
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
			if len(given) > 0 {
				ready()
			}
		}),
		// Dead letters may be as large as the bridge takes a body, and are given up (and tried again) in less time than a stop may take.
		kgo.ProducerBatchMaxBytes(9<<20), kgo.RecordDeliveryTimeout(8*time.Second),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)))
	if err != nil {
		log.Fatal(err)
	}
	for stop.Err() == nil {
		fetches := kafka.PollRecords(stop, 500)
		if err := fetches.Err(); err != nil && stop.Err() == nil {
			log.Println("cannot read:", err)
		}
		for backoff := time.Second / 2; len(fetches.Records()) > 0; backoff = min(2*backoff, 30*time.Second) {
			err := take(db, kafka, fetches.Records())
			kafka.AllowRebalance()
			if err == nil || stop.Err() != nil {
				break
			}
			// No record's fault: nothing is skipped. The batch is tried again; the client keeps us in the group meanwhile.
			log.Printf("not taken, again in %v: %v", backoff, err)
			select {
			case <-stop.Done():
			case <-time.After(backoff):
			}
		}
		kafka.AllowRebalance()
	}
	kafka.CloseAllowingRebalance() // leaves the group
}

// A batch in one transaction, then its dead letters, confirmed. Only then are its offsets committed.
func take(db *sql.DB, kafka *kgo.Client, batch []*kgo.Record) error {
	tx := begin(db)
	var dead []*kgo.Record
	for _, r := range batch {
		if reason := handle(tx, r); reason != "" {
			log.Printf("%s-%d@%d to %s: %s", r.Topic, r.Partition, r.Offset, deadLetters, reason)
			headers := append(r.Headers, kgo.RecordHeader{Key: "reason", Value: []byte(reason)})
			dead = append(dead, &kgo.Record{Topic: deadLetters, Key: r.Key, Value: r.Value, Headers: headers})
		}
	}
	tx.forget()
	if err := tx.end(); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(context.Background(), 8*time.Second) // also when told to stop
	defer cancel()
	for _, letter := range dead { // one by one: together they could be more than their topic takes at once
		if err := kafka.ProduceSync(within, letter).FirstErr(); err != nil {
			return err
		}
	}
	return kafka.CommitRecords(within, batch...)
}

// Takes one record into the open transaction, or answers why it is poison.
func handle(tx *transaction, r *kgo.Record) string {
	var e event
	err := json.Unmarshal(r.Value, &e)
	if _, mistyped := err.(*json.UnmarshalTypeError); mistyped {
		err = nil // all the other fields are there
	}
	if e.Call == nil {
		e.Call = e.Data
	}
	id, at := header(r, "ce_id"), header(r, "ce_time")
	switch {
	case id == "":
		return "no_ce_id"
	case keys != "" && !verify(r.Value, header(r, "retell_signature"), at, strings.Split(keys, ",")):
		return "signature"
	case err != nil, !utf8.Valid(r.Value), e.Event == "", e.Call == nil, e.Call.ID == "":
		return "unreadable"
	}
	tx.save(e.Call, e.Event, id, at, header(r, "retell_position"), header(r, "retell_origin"))
	return ""
}

// Optional: is the value what Retell signed? The clock is ce_time, as Retell's own check refuses all that is older than five
// minutes. WARNING: this key can also place calls, and the bridge has checked already: most consumers should not hold it.
func verify(raw []byte, sent, at string, keys []string) bool {
	part := signature.FindStringSubmatch(sent)
	clock, err := time.Parse(time.RFC3339Nano, at)
	if part == nil || err != nil {
		return false
	}
	v, _ := strconv.ParseInt(part[1], 10, 64)
	return clock.Sub(time.UnixMilli(v)).Abs() <= 5*time.Minute && slices.ContainsFunc(keys, func(key string) bool {
		mac := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(mac, "%s%d", raw, v)
		return hmac.Equal(fmt.Appendf(nil, "%x", mac.Sum(nil)), []byte(part[2]))
	})
}

func header(r *kgo.Record, name string) string {
	i := slices.IndexFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == name })
	if i < 0 {
		return ""
	}
	return string(r.Headers[i].Value)
}

func env(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }
