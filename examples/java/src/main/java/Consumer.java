import java.sql.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.*;
import static java.nio.charset.StandardCharsets.UTF_8;

/** Reads Retell's events from the topics of retell-bridge into SQLite, one row for each call.
 *  Here is what has to do with Kafka and with the store; Event.java reads a record. Settings: README.md. */
public final class Consumer {
    static final String BROKERS = env("KAFKA_BROKERS", "localhost:9092");
    static final String GROUP = env("KAFKA_GROUP", "retell-java");
    static final String TOPICS = env("TOPICS", "retell.call_started,retell.call_ended,retell.call_analyzed");
    static final String DEAD_LETTERS = env("DEAD_LETTERS", "retell." + GROUP + ".dead");
    static final String DATABASE = env("DATABASE", "calls.sqlite"), CUSTOMERS = env("CUSTOMERS", "");
    static final String REPLAY = env("REPLAY", "");
    static final List<String> KEYS = list(env("RETELL_API_KEYS", ""));   // without, nothing is checked again
    /** Has a signature held since the start? As long as none has, the keys are likelier wrong than an event is
     *  forged: that one waits, as when the store is away, and not all events are set aside for wrong keys. */
    static boolean proven;
    static String[] sql;   // of store.sql: the tables, an event that fills, an event that replaces
    static Connection db;

    public static void main(String[] args) throws Exception {
        if (KEYS.isEmpty() && System.getenv("RETELL_API_KEYS") != null) {
            throw new IllegalArgumentException("RETELL_API_KEYS has no key in it: give one, or unset it");
        }
        try (var file = Consumer.class.getResourceAsStream("store.sql")) {
            sql = new String(file.readAllBytes(), UTF_8).split(";\n\n");
        }
        var stop = new CountDownLatch(1);   // not by a shutdown hook: after one a JVM exits with 143
        for (var name : List.of("TERM", "INT")) {
            sun.misc.Signal.handle(new sun.misc.Signal(name), signal -> stop.countDown());
        }
        // Range: one consumer gets the same partition of every topic, with it all that there is of a call.
        var reading = Map.<String, Object>of("bootstrap.servers", BROKERS, "group.id", GROUP,
            "enable.auto.commit", false, "auto.offset.reset", "earliest", "allow.auto.create.topics", false,
            "partition.assignment.strategy", RangeAssignor.class.getName());
        // A dead letter may be as large as a body. No wait for Kafka outlasts the ten seconds of a stop.
        var writing = Map.<String, Object>of("bootstrap.servers", BROKERS, "max.request.size", 9 << 20,
            "max.block.ms", 3000, "request.timeout.ms", 4000, "delivery.timeout.ms", 6000);
        var consumer = new KafkaConsumer<>(reading, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        var producer = new KafkaProducer<>(writing, new ByteArraySerializer(), new ByteArraySerializer());
        try {
            consumer.subscribe(list(TOPICS + "," + CUSTOMERS));
            boolean ready = false;
            for (long wait = 500, said = 0; stop.getCount() > 0; ) {
                var batch = consumer.poll(Duration.ofMillis(500));
                if (!ready && (ready = !consumer.assignment().isEmpty())) System.out.println("ready");
                if (batch.isEmpty()) continue;
                try {
                    take(batch, producer);
                    consumer.commitSync(Duration.ofSeconds(5));   // all that poll has given
                    wait = 500;
                    said = 0;
                } catch (SQLException | ExecutionException | KafkaException | IllegalStateException e) {
                    // No record's fault: nothing is skipped, the batch comes again. Polls keep us in the group.
                    if (System.currentTimeMillis() - said > 60_000) {
                        System.err.println("not taken, tried again until it is: " + e.getMessage());
                        said = System.currentTimeMillis();
                    }
                    if (db != null) db.close();   // which undoes an open transaction
                    for (var p : batch.partitions()) consumer.seek(p, batch.records(p).get(0).offset());
                    stop.await(wait, TimeUnit.MILLISECONDS);
                    wait = Math.min(2 * wait, 30_000);
                }
            }
        } finally {
            // Not by try-with-resources, whose close waits half a minute for a Kafka that is away.
            consumer.close(CloseOptions.timeout(Duration.ofSeconds(2)));
            producer.close(Duration.ZERO);   // nothing is on its way
        }
    }

    /** A batch in one transaction, then its dead letters, confirmed. Only then may its offsets be committed. */
    static void take(ConsumerRecords<byte[], byte[]> batch, Producer<byte[], byte[]> producer) throws Exception {
        if (db == null || db.isClosed()) {   // IMMEDIATE: a transaction waits for the lock where it begins
            var how = "?journal_mode=WAL&busy_timeout=5000&transaction_mode=IMMEDIATE";
            db = DriverManager.getConnection("jdbc:sqlite:" + DATABASE + how);
            try (var s = db.createStatement()) { s.executeUpdate(sql[0]); }
        }
        if (!KEYS.isEmpty()) for (var r : batch) proven = proven || Event.signed(r);
        db.setAutoCommit(false);   // begins here; commit() would begin the next one at once, and hold the lock
        var dead = new LinkedHashMap<ConsumerRecord<byte[], byte[]>, String>();
        for (var r : batch) {
            try { store(r); } catch (Event.Poison e) { dead.put(r, e.getMessage()); }
        }
        if (dead.containsValue("signature") && !proven) {
            throw new IllegalStateException("no signature has held since the start. Are RETELL_API_KEYS the"
                + " bridge's, and that of before among them, where events are older than the key?"
                + " Set them and start again");
        }
        // How long to remember: longer than the topics' retention.ms and segment.ms. So far a group can be set back.
        if (Math.random() < 0.001) update("DELETE FROM seen WHERE seen_at < unixepoch() - 35 * 24 * 3600");
        db.setAutoCommit(true);    // commits
        for (var r : dead.keySet()) {
            var headers = r.headers().add("reason", dead.get(r).getBytes(UTF_8));
            producer.send(new ProducerRecord<>(DEAD_LETTERS, null, r.key(), r.value(), headers)).get();
            System.err.printf("set aside (%s): %s-%d@%d%n", dead.get(r), r.topic(), r.partition(), r.offset());
        }
    }

    /** Takes one record into the open transaction. */
    static void store(ConsumerRecord<byte[], byte[]> r) throws SQLException, Event.Poison {
        if (r.topic().equals(CUSTOMERS)) {   // our own, with the same key: its records lie where the call's lie
            var own = Event.parse(r.value());
            if (Event.text(own, "call_id") == null) throw new Event.Poison("unreadable");
            update("REPLACE INTO customers VALUES (?1, ?2, ?3)",
                Event.text(own, "call_id"), Event.text(own, "customer"), r.partition());
            return;
        }
        if (!Event.isOfCall(r)) return;
        var e = Event.of(r);
        var run = !REPLAY.isEmpty() && e.origin().equals("replay:" + REPLAY) ? REPLAY : null;
        int first = update("INSERT INTO seen VALUES (?1, unixepoch(), ?2) ON CONFLICT DO NOTHING", e.id(), run);
        var again = "UPDATE seen SET seen_at = unixepoch(), replay = ?2 WHERE ce_id = ?1 AND replay IS NOT ?2";
        // A repeat; but each event of the replay that was announced is taken again, once.
        if (first == 0 && (run == null || update(again, e.id(), run) == 0)) return;
        var said = e.values(first);
        update(sql[1], said);
        if (e.isOver()) update(sql[2], said);
        var where = "REPLACE INTO call_partitions VALUES (?1, ?2)";
        if (!CUSTOMERS.isEmpty()) update(where, e.callId(), r.partition());
    }

    /** Runs a statement with as many of the values as it names; answers how many rows it changed. */
    static int update(String sql, Object... values) throws SQLException {
        try (var s = db.prepareStatement(sql)) {
            int named = s.getParameterMetaData().getParameterCount();
            for (int i = 1; i <= named; i++) s.setObject(i, values[i - 1]);
            return s.executeUpdate();
        }
    }

    static String env(String name, String fallback) { return System.getenv().getOrDefault(name, fallback); }

    static List<String> list(String of) {
        return Arrays.stream(of.split("[\\s,]+")).filter(item -> !item.isEmpty()).toList();
    }
}
