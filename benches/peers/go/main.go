// A webhook handler as one writes it with net/http and franz-go: check the signature, read type and call id, produce, and
// answer when Kafka has confirmed.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	apiKey = []byte(os.Getenv("RETELL_API_KEY"))
	prefix = os.Getenv("TOPIC_PREFIX")
	client *kgo.Client
)

type webhook struct {
	Event string `json:"event"`
	Call  struct {
		CallID string `json:"call_id"`
	} `json:"call"`
}

func isValid(body []byte, signature string) bool {
	v, d, found := strings.Cut(signature, ",d=")
	v = strings.TrimPrefix(v, "v=")
	clock, err := strconv.ParseInt(v, 10, 64)
	if !found || err != nil || time.Since(time.UnixMilli(clock)).Abs() > 5*time.Minute {
		return false
	}
	digest, err := hex.DecodeString(d)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, apiKey)
	mac.Write(body)
	mac.Write([]byte(v))
	return hmac.Equal(mac.Sum(nil), digest)
}

func handle(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	if !isValid(body, r.Header.Get("X-Retell-Signature")) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var event webhook
	if err := json.Unmarshal(body, &event); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 8*time.Second)
	defer cancel()
	record := &kgo.Record{Topic: prefix + event.Event, Key: []byte(event.Call.CallID), Value: body}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func main() {
	var err error
	client, err = kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Getenv("KAFKA_BROKERS"), ",")...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.ProducerBatchMaxBytes(4<<20),
	)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /webhook", handle)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
