// Reads Retell's events from the topics of retell-bridge into SQLite, one row for each call.
// Here is what has to do with Kafka and with the store; event.go reads a record. Settings: README.md.
package main

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	_ "modernc.org/sqlite"
)

var (
	brokers     = env("KAFKA_BROKERS", "localhost:9092")
	group       = env("KAFKA_GROUP", "retell-go")
	topics      = env("TOPICS", "retell.call_started,retell.call_ended,retell.call_analyzed")
	deadLetters = env("DEAD_LETTERS", "retell."+group+".dead")
	database    = env("DATABASE", "calls.sqlite")
	replay      = env("REPLAY", "")
	keys        = list(os.Getenv("RETELL_API_KEYS")) // without, nothing is checked again
)

//go:embed store.sql
var takeEvent string

func main() {
	if _, given := os.LookupEnv("RETELL_API_KEYS"); given && len(keys) == 0 {
		log.Fatal("RETELL_API_KEYS has no key in it: give one, or unset it")
	}
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	// Where Kafka is away nobody waits for it. What is not committed comes again.
	context.AfterFunc(stop, func() { time.Sleep(10 * time.Second); os.Exit(0) })
	db, _ := sql.Open("sqlite", database+"?_txlock=immediate&_timeout=5000&_journal_mode=WAL")
	var ready sync.Once
	kafka, err := kgo.NewClient(
		kgo.SeedBrokers(list(brokers)...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(list(topics)...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(),
		// One consumer gets the same partition of every topic, all that there is of a call, and keeps it for a
		// batch: no offset is committed of a partition that is another's by then.
		kgo.Balancers(kgo.RangeBalancer()), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
			if len(given) > 0 {
				ready.Do(func() { fmt.Println("ready") })
			}
		}),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)),
		// As large as the bridge takes a body; and Kafka is given up for now sooner than a stop must end.
		kgo.DefaultProduceTopic(deadLetters), kgo.ProducerBatchMaxBytes(9<<20),
		kgo.RecordDeliveryTimeout(8*time.Second), kgo.RetryTimeout(8*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	wait, said := time.Second/2, time.Time{}
	for stop.Err() == nil {
		fetches := kafka.PollRecords(stop, 500)
		if err := fetches.Err(); err != nil && stop.Err() == nil {
			log.Println("cannot read:", err)
		}
		err := takeAll(stop, kafka, db, fetches.Records())
		kafka.AllowRebalance()
		if err == nil {
			wait, said = time.Second/2, time.Time{}
			continue
		}
		if time.Since(said) > time.Minute {
			log.Println("not taken, tried again until it is:", err)
			said = time.Now()
		}
		select {
		case <-stop.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 30*time.Second)
	}
	kafka.CloseAllowingRebalance() // leaves the group
}

// Takes a batch and commits. What fails is no record's fault: nothing is skipped, it is read again.
func takeAll(stop context.Context, kafka *kgo.Client, db *sql.DB, batch []*kgo.Record) (err error) {
	proven = proven || len(keys) > 0 && slices.ContainsFunc(batch, signed)
	done := 0
	for done < len(batch) && stop.Err() == nil && err == nil {
		if err = take(kafka, db, batch[done]); err == nil {
			done++
		}
	}
	if failed := kafka.CommitRecords(context.Background(), batch[:done]...); failed != nil {
		done, err = 0, failed
	}
	if err != nil {
		from := map[string]map[int32]kgo.EpochOffset{}
		for _, r := range slices.Backward(batch[done:]) { // the last that is set is a partition's first
			if from[r.Topic] == nil {
				from[r.Topic] = map[int32]kgo.EpochOffset{}
			}
			from[r.Topic][r.Partition] = kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset}
		}
		kafka.SetOffsets(from)
	}
	return err
}

// Takes a record into the store, or, where it is poison, to the dead letters. Without an error it is durable.
func take(kafka *kgo.Client, db *sql.DB, r *kgo.Record) error {
	if !ofCall(r) {
		return nil
	}
	said, reason := read(r)
	if reason == "signature" && !proven {
		return errUnproven
	}
	if reason != "" {
		letter := &kgo.Record{Key: r.Key, Value: r.Value, Headers: r.Headers}
		letter.Headers = append(letter.Headers, kgo.RecordHeader{Key: "reason", Value: []byte(reason)})
		err := kafka.ProduceSync(context.Background(), letter).FirstErr()
		if err == nil {
			log.Printf("set aside (%s): %s-%d@%d", reason, r.Topic, r.Partition, r.Offset)
		}
		return err
	}
	tx, err := db.Begin()
	if err == nil {
		defer tx.Rollback() // after Commit it does nothing
		_, err = tx.Exec(takeEvent, said...)
	}
	if err == nil {
		err = tx.Commit()
	}
	return err
}

func env(name, otherwise string) string { return cmp.Or(os.Getenv(name), otherwise) }
func list(of string) []string           { return strings.Fields(strings.ReplaceAll(of, ",", " ")) }
