// A webhook handler as one writes it with Express, Retell's SDK and node-rdkafka: check the signature, read type and call id,
// produce, answer. MODE=wait answers when Kafka has confirmed, MODE=once when the client's queue has the record.
import express from "express";
import Kafka from "node-rdkafka";
import { Retell } from "retell-sdk";

const { PORT, RETELL_API_KEY, KAFKA_BROKERS, TOPIC_PREFIX, MODE } = process.env;

const producer = new Kafka.Producer({
  "bootstrap.servers": KAFKA_BROKERS,
  acks: "all",
  "enable.idempotence": true,
  "compression.codec": "lz4",
  "linger.ms": 2,
  "message.max.bytes": 4194304,
  dr_cb: true,
});

// Answers that wait for Kafka, by the record's opaque number.
const waiting = new Map();
let next = 0;
producer.on("delivery-report", (error, report) => {
  const respond = waiting.get(report?.opaque);
  waiting.delete(report?.opaque);
  respond?.(error ? 503 : 204);
});

const app = express();
app.post("/webhook", express.raw({ type: "*/*", limit: "8mb" }), async (request, response) => {
  const text = request.body.toString("utf8");
  if (!(await Retell.verify(text, RETELL_API_KEY, request.get("x-retell-signature") ?? ""))) {
    return response.status(401).end();
  }
  const { event, call } = JSON.parse(text);
  const number = next++;
  if (MODE === "wait") waiting.set(number, (status) => response.status(status).end());
  try {
    producer.produce(TOPIC_PREFIX + event, null, request.body, call.call_id, Date.now(), number);
  } catch {
    waiting.delete(number);
    return response.status(503).end();
  }
  if (MODE !== "wait") response.status(204).end();
});

producer.on("ready", () => {
  producer.setPollInterval(5);
  app.listen(Number(PORT), "127.0.0.1");
});
producer.connect();
