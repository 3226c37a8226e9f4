import com.fasterxml.jackson.databind.*;
import java.security.*;
import java.sql.*;
import java.time.*;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;
import static java.nio.charset.StandardCharsets.UTF_8;

/** Reads Retell's events from the topics of retell-bridge into SQLite, one row for each call. Settings: README.md. */
public final class Consumer {
    static final String BROKERS = env("KAFKA_BROKERS", "localhost:9092"), GROUP = env("KAFKA_GROUP", "retell-java"),
        DEAD_LETTERS = env("DEAD_LETTERS", "retell." + GROUP + ".dead"), DATABASE = env("DATABASE", "calls.sqlite"),
        CUSTOMERS = env("CUSTOMERS", ""), REPLAY = env("REPLAY", ""), KEYS = env("RETELL_API_KEYS", "").strip();
    static final ObjectMapper JSON = new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
    static String[] sql;   // of store.sql: the tables, an event that fills, an event that replaces
    static Connection db;

    public static void main(String[] args) throws Exception {
        try (var file = Consumer.class.getResourceAsStream("store.sql")) {
            sql = new String(file.readAllBytes(), UTF_8).split(";\n\n");
        }
        var stop = new CountDownLatch(1);   // not by a shutdown hook: after one a JVM exits with 143
        for (var s : List.of("TERM", "INT")) sun.misc.Signal.handle(new sun.misc.Signal(s), signal -> stop.countDown());
        // Range: one consumer gets the same partition of every topic, and with it all that there is of a call.
        // A dead letter may be as large as a body, and is given up (and tried again) before a stop has to be over.
        var reading = Map.<String, Object>of("bootstrap.servers", BROKERS, "group.id", GROUP,
            "enable.auto.commit", false, "auto.offset.reset", "earliest", "allow.auto.create.topics", false,
            "partition.assignment.strategy", RangeAssignor.class.getName());
        var writing = Map.<String, Object>of("bootstrap.servers", BROKERS, "max.request.size", 9 << 20,
            "max.block.ms", 5000, "request.timeout.ms", 5000, "delivery.timeout.ms", 8000);
        try (var consumer = new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer());
             var producer = new KafkaProducer<>(writing, new ByteArraySerializer(), new ByteArraySerializer())) {
            var topics = env("TOPICS", "retell.call_started,retell.call_ended,retell.call_analyzed") + "," + CUSTOMERS;
            consumer.subscribe(List.of(topics.split(",")));
            boolean ready = false;
            for (long backoff = 500; stop.getCount() > 0; ) {
                var batch = consumer.poll(Duration.ofMillis(500));
                if (!ready && (ready = !consumer.assignment().isEmpty())) System.out.println("ready");
                if (batch.isEmpty()) continue;
                try {
                    take(batch, producer);
                    consumer.commitSync(Duration.ofSeconds(8));   // all that poll has given
                    backoff = 500;
                } catch (SQLException | ExecutionException | org.apache.kafka.common.KafkaException e) {
                    // No record's fault: nothing is skipped. The batch comes again; polling keeps us in the group.
                    System.err.println("not taken, again in " + backoff + " ms: " + e.getMessage());
                    if (db != null) db.close();                   // which undoes an open transaction
                    for (var p : batch.partitions()) consumer.seek(p, batch.records(p).get(0).offset());
                    stop.await(backoff, TimeUnit.MILLISECONDS);
                    backoff = Math.min(2 * backoff, 30_000);
                }
            }
        }
    }

    /** A batch in one transaction, then its dead letters, confirmed. Only then may its offsets be committed. */
    static void take(ConsumerRecords<byte[], byte[]> batch, Producer<byte[], byte[]> producer) throws Exception {
        if (db == null || db.isClosed()) {   // IMMEDIATE: a transaction waits for the lock where it begins
            var how = "?journal_mode=WAL&busy_timeout=5000&transaction_mode=IMMEDIATE";
            db = DriverManager.getConnection("jdbc:sqlite:" + DATABASE + how);
            try (var s = db.createStatement()) { s.executeUpdate(sql[0]); }
        }
        db.setAutoCommit(false);   // begins here; commit() would begin the next one at once, and hold the lock
        var dead = new ArrayList<ProducerRecord<byte[], byte[]>>();
        for (var r : batch) {
            var reason = handle(r);
            if (reason == null) continue;
            System.err.println("dead letter (" + reason + "): " + r.topic() + "-" + r.partition() + "@" + r.offset());
            var headers = r.headers().add("reason", reason.getBytes(UTF_8));
            dead.add(new ProducerRecord<>(DEAD_LETTERS, null, r.key(), r.value(), headers));
        }
        // How long to remember: longer than the topics' retention.ms and segment.ms, as a group can be set back so far.
        if (Math.random() < 0.001) update("DELETE FROM seen WHERE seen_at < unixepoch() - 35 * 24 * 3600");
        db.setAutoCommit(true);    // commits
        for (var sent : dead.stream().map(producer::send).toList()) sent.get();
    }

    /** Takes one record into the open transaction, or answers why it is poison. */
    static String handle(ConsumerRecord<byte[], byte[]> r) throws SQLException {
        var event = parse(r.value());
        var call = event.path("call").isObject() ? event.path("call") : event.path("data");   // `data`: the older name
        String type = text(event, "event"), id = header(r, "ce_id"), time = header(r, "ce_time");
        var callId = text(r.topic().equals(CUSTOMERS) ? event : call, "call_id");
        if (callId == null || callId.isEmpty()) return "unreadable";
        if (r.topic().equals(CUSTOMERS)) {   // our own, with the same key: its records lie where the call's lie
            update("REPLACE INTO customers VALUES (?1, ?2, ?3)", callId, text(event, "customer"), r.partition());
            return null;
        }
        if (type == null || id.isEmpty()) return id.isEmpty() ? "no_ce_id" : "unreadable";
        if (!KEYS.isEmpty() && !verify(r.value(), header(r, "retell_signature"), time, KEYS)) return "signature";
        var run = !REPLAY.isEmpty() && header(r, "retell_origin").equals("replay:" + REPLAY) ? REPLAY : null;
        int first = update("INSERT INTO seen VALUES (?1, unixepoch(), ?2) ON CONFLICT DO NOTHING", id, run);
        var again = "UPDATE seen SET seen_at = unixepoch(), replay = ?2 WHERE ce_id = ?1 AND replay IS NOT ?2";
        // A repeat; but each event of the replay that was announced is taken again, once.
        if (first == 0 && (run == null || update(again, id, run) == 0)) return null;
        boolean analyzed = type.equals("call_analyzed"), over = analyzed || type.equals("call_ended");
        JsonNode none = JSON.missingNode(), end = over ? call : none;
        var analysis = analyzed ? call.path("call_analysis") : none;
        Object[] said = { callId, text(call, "agent_id"), number(call, "start_timestamp"), number(end, "end_timestamp"),
            text(end, "disconnection_reason"), text(end, "transcript"), first, analyzed ? first : 0,
            text(analysis, "call_summary"), analyzed ? time : null, analyzed ? header(r, "retell_position") : null };
        update(sql[1], said);
        if (over) update(sql[2], said);
        if (!CUSTOMERS.isEmpty()) update("REPLACE INTO call_partitions VALUES (?1, ?2)", callId, r.partition());
        return null;
    }

    /** Optional: is the value what Retell signed? The clock is ce_time: Retell's own check refuses what is five minutes
     *  old. WARNING: this key can also place calls, and the bridge has checked: few consumers should hold it. */
    static boolean verify(byte[] raw, String signature, String time, String keys) {
        if (raw == null || !signature.matches("v=[0-9]{1,18},d=[0-9a-f]{64}")) return false;
        var part = signature.split("[=,]");
        long v = Long.parseLong(part[1]);
        try {
            if (Math.abs(Instant.parse(time).toEpochMilli() - v) > 300_000) return false;
            var mac = javax.crypto.Mac.getInstance("HmacSHA256");
            for (var key : keys.split("[\\s,]+")) {
                mac.init(new javax.crypto.spec.SecretKeySpec(key.getBytes(UTF_8), mac.getAlgorithm()));
                mac.update(raw);
                var own = mac.doFinal(Long.toString(v).getBytes(UTF_8));
                if (!key.isEmpty() && MessageDigest.isEqual(own, HexFormat.of().parseHex(part[3]))) return true;
            }
        } catch (DateTimeException | GeneralSecurityException e) { }   // no ce_time: no clock
        return false;
    }

    /** Runs a statement with as many of the values as it names; answers how many rows it changed. */
    static int update(String sql, Object... values) throws SQLException {
        try (var s = db.prepareStatement(sql)) {
            for (int i = 1; i <= s.getParameterMetaData().getParameterCount(); i++) s.setObject(i, values[i - 1]);
            return s.executeUpdate();
        }
    }
    static JsonNode parse(byte[] value) {
        try { return JSON.readTree(value); } catch (Exception e) { return JSON.missingNode(); }
    }
    static String text(JsonNode node, String field) { return node.path(field).textValue(); }
    static Long number(JsonNode node, String field) {
        return node.path(field).isInt() || node.path(field).isLong() ? node.path(field).asLong() : null;
    }
    static String header(ConsumerRecord<?, ?> r, String name) {
        var header = r.headers().lastHeader(name);
        return header == null || header.value() == null ? "" : new String(header.value(), UTF_8);
    }
    static String env(String name, String fallback) { return System.getenv().getOrDefault(name, fallback); }
}
