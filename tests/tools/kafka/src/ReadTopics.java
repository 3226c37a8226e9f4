import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads whole topics with Kafka's own Java consumer, for tests that must not trust librdkafka about librdkafka.
 *
 * <p>{@code ReadTopics BOOTSTRAP [--values] TOPIC...} reads every partition from its first offset to the end that it
 * had at the start, prints one JSON object a line for each record and leaves. Bytes are printed as hexadecimal, so that
 * nothing is lost in text; values as length and SHA-256, with {@code --values} also as they are. {@code java_partition}
 * is what Java's own default partitioner chooses for the key (null without a key).
 *
 * <p>Exit code 1, and a line on stderr, when a topic does not exist or stays silent for 30 s.
 */
public final class ReadTopics {
    private static final HexFormat HEX = HexFormat.of();
    private static final Duration SILENCE_MAX = Duration.ofSeconds(30);

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0];
        boolean values = args.length > 1 && args[1].equals("--values");
        List<String> topics = List.of(args).subList(values ? 2 : 1, args.length);
        StringBuilder out = new StringBuilder(1 << 20);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties(bootstrap))) {
            Map<String, Integer> partitions = new HashMap<>();
            List<TopicPartition> all = new ArrayList<>();
            for (String topic : topics) {
                List<PartitionInfo> infos = consumer.partitionsFor(topic);
                if (infos == null || infos.isEmpty()) {
                    System.err.println("topic " + topic + " does not exist");
                    System.exit(1);
                }
                partitions.put(topic, infos.size());
                infos.forEach(info -> all.add(new TopicPartition(topic, info.partition())));
            }
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            long heard = System.nanoTime();
            while (!atEnd(consumer, ends)) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    print(out, record, partitions.get(record.topic()), values);
                    heard = System.nanoTime();
                }
                if (System.nanoTime() - heard > SILENCE_MAX.toNanos()) {
                    System.err.println("no record for " + SILENCE_MAX.toSeconds() + " s, and the end is not reached");
                    System.exit(1);
                }
            }
        }
        flush(out);
    }

    private static Properties properties(String bootstrap) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        p.put("key.deserializer", ByteArrayDeserializer.class.getName());
        p.put("value.deserializer", ByteArrayDeserializer.class.getName());
        p.put("enable.auto.commit", "false");
        p.put("isolation.level", "read_committed");
        // Reading must never make what a test says is missing.
        p.put("allow.auto.create.topics", "false");
        p.put("max.partition.fetch.bytes", Integer.toString(8 << 20));
        p.put("max.poll.records", "2000");
        return p;
    }

    private static boolean atEnd(KafkaConsumer<byte[], byte[]> consumer, Map<TopicPartition, Long> ends) {
        return ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
    }

    private static void print(StringBuilder out, ConsumerRecord<byte[], byte[]> record, int partitions, boolean values)
            throws Exception {
        byte[] key = record.key();
        out.append("{\"topic\":\"").append(record.topic());
        out.append("\",\"partition\":").append(record.partition());
        out.append(",\"offset\":").append(record.offset());
        out.append(",\"timestamp\":").append(record.timestamp());
        out.append(",\"key\":").append(quoted(key));
        out.append(",\"java_partition\":");
        out.append(key == null ? "null" : Integer.toString(BuiltInPartitioner.partitionForKey(key, partitions)));
        out.append(",\"headers\":[");
        String comma = "";
        for (Header header : record.headers()) {
            out.append(comma).append("[").append(quoted(header.key().getBytes(StandardCharsets.UTF_8)));
            out.append(",").append(quoted(header.value())).append("]");
            comma = ",";
        }
        byte[] value = record.value();
        out.append("],\"length\":").append(value == null ? -1 : value.length);
        out.append(",\"sha256\":").append(value == null ? "null" : quoted(sha256(value)));
        if (values) {
            out.append(",\"value\":").append(quoted(value));
        }
        out.append("}\n");
        if (out.length() > 1 << 20) {
            flush(out);
        }
    }

    private static String quoted(byte[] bytes) {
        return bytes == null ? "null" : "\"" + HEX.formatHex(bytes) + "\"";
    }

    private static byte[] sha256(byte[] value) throws Exception {
        return MessageDigest.getInstance("SHA-256").digest(value);
    }

    private static void flush(StringBuilder out) {
        System.out.print(out);
        System.out.flush();
        out.setLength(0);
    }
}
