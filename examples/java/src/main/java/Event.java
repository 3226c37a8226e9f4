import com.fasterxml.jackson.databind.*;
import java.security.*;
import java.time.*;
import java.util.*;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import static java.nio.charset.StandardCharsets.UTF_8;

/** An event of a call, as a record has it. The call stays open: no new field or type must stop a consumer. */
record Event(
    String id, String time, String position, String origin, String type, String callId, JsonNode call) {
    static final ObjectMapper JSON = new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    /** Why a record is none, which no second try can help. */
    static final class Poison extends Exception {
        Poison(String reason) { super(reason); }
    }

    /** The topic with everything has other types too. Without the header it is the body that tells. */
    static boolean isOfCall(ConsumerRecord<byte[], byte[]> r) {
        return header(r, "ce_type").matches("|com\\.retellai\\.call_(started|ended|analyzed)");
    }

    static Event of(ConsumerRecord<byte[], byte[]> r) throws Poison {
        var body = parse(r.value());
        var call = body.path(body.path("call").isObject() ? "call" : "data");   // `data`: the older name
        var e = new Event(header(r, "ce_id"), header(r, "ce_time"), header(r, "retell_position"),
            header(r, "retell_origin"), text(body, "event"), text(call, "call_id"), call);
        if (e.id.isEmpty()) throw new Poison("no_ce_id");
        if (!Consumer.KEYS.isEmpty() && !signed(r)) throw new Poison("signature");
        if (e.type == null || e.callId == null || e.callId.isEmpty()) throw new Poison("unreadable");
        return e;
    }

    boolean isAnalyzed() { return type.equals("call_analyzed"); }
    boolean isOver() { return isAnalyzed() || type.equals("call_ended"); }

    /** For store.sql. An event sets only what it knows; it counts where it is the first with its id. */
    Object[] values(int first) {
        JsonNode none = JSON.missingNode(), end = isOver() ? call : none;
        var analysis = isAnalyzed() ? call.path("call_analysis") : none;
        return new Object[] { callId, text(call, "agent_id"), number(call, "start_timestamp"),
            number(end, "end_timestamp"), text(end, "disconnection_reason"), text(end, "transcript"), first,
            isAnalyzed() ? first : 0, text(analysis, "call_summary"), isAnalyzed() ? time : null,
            isAnalyzed() ? position : null };
    }

    static boolean signed(ConsumerRecord<byte[], byte[]> r) {
        var raw = r.value() == null ? new byte[0] : r.value();
        return verify(raw, header(r, "retell_signature"), header(r, "ce_time"), Consumer.KEYS);
    }

    /** Optional: is the value what Retell signed? The clock is ce_time: Retell's own check refuses what is five
     *  minutes old. WARNING: such a key can also place calls, and the bridge has checked: few should hold it. */
    static boolean verify(byte[] raw, String signature, String time, List<String> keys) {
        if (!signature.matches("v=[0-9]{1,18},d=[0-9a-f]{64}")) return false;
        var part = signature.split("[=,]");
        long v = Long.parseLong(part[1]);
        try {
            if (Math.abs(Instant.parse(time).toEpochMilli() - v) > 300_000) return false;
            var mac = javax.crypto.Mac.getInstance("HmacSHA256");
            for (var key : keys) {
                mac.init(new javax.crypto.spec.SecretKeySpec(key.getBytes(UTF_8), mac.getAlgorithm()));
                mac.update(raw);
                var own = mac.doFinal(Long.toString(v).getBytes(UTF_8));
                if (MessageDigest.isEqual(own, HexFormat.of().parseHex(part[3]))) return true;
            }
        } catch (DateTimeException | GeneralSecurityException e) { }   // no ce_time: no clock
        return false;
    }

    static JsonNode parse(byte[] value) {
        try { return JSON.readTree(value); } catch (Exception e) { return JSON.missingNode(); }
    }

    static String text(JsonNode node, String field) { return node.path(field).textValue(); }

    /** A whole number, which JSON may print as 1714608475945.0 too. */
    static Long number(JsonNode node, String field) {
        var value = node.path(field);
        return value.canConvertToExactIntegral() && value.canConvertToLong() ? value.asLong() : null;
    }

    static String header(ConsumerRecord<?, ?> r, String name) {
        var header = r.headers().lastHeader(name);
        return header == null || header.value() == null ? "" : new String(header.value(), UTF_8);
    }
}
