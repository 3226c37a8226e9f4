//! The goals of the table, in the words of what was asked for.
//!
//! In: nothing. Out: [`GOALS`]. Never happens: a goal that no row has figures for; a run that does less than the goal asks for,
//! without a word about it.

/// The goals: name, what is measured, what is wanted. The page has them in this order. Where a run does less than the goal
/// asks for, the words say what each run does.
pub const GOALS: [(&str, &str, &str); 20] = [
    (
        "cpu-parts",
        "CPU per event, received, kept, published (user + system, whole process), each body size",
        "≤ 1.25 × the sum of its measured parts",
    ),
    ("cpu-rust", "CPU per event against the Rust handler without a journal that waits for Kafka", "≤ 1.0 ×"),
    ("cpu-scripted", "CPU per event against FastAPI and Express that answer at once (`make bench-peers`)", "≤ 1/8"),
    ("disk", "floor: one write of 4 KiB and its fdatasync in a zero-filled file, 500 a second", "none: it is told"),
    (
        "answer-quiet",
        "answer at 500 events/s open loop, mix",
        "p50 ≤ 1.7 ×, p99 ≤ 2.5 × the same quantile of an fdatasync of an equal-sized write, in alternating slices",
    ),
    ("answer-trouble", "the same while Kafka is away, and while a backlog drains", "p99 ≤ 1.5 × the quiet one"),
    (
        "burst",
        "answered per second in a 10 s burst (`make bench`: 4 s), closed loop, 64 and 512 connections, each size",
        "≥ 2 × the best peer that waits for Kafka (in `make bench`, and over 512 connections always, the Rust handler), or 80 % of the disk's sequential write rate where that comes first; \
         nothing refused",
    ),
    (
        "published-after",
        "all published soon after: from the end of the burst until all is on Kafka",
        "no longer than the burst took",
    ),
    (
        "sustained",
        "published per second, from a burst's first request until all of it is on Kafka",
        "≥ 1.2 × the Rust handler that waits",
    ),
    ("nodes", "answer with three Kafka nodes and `min.insync.replicas=2`", "the same as with one: within 10 %"),
    ("readable", "from 204 to readable by a consumer, quiet", "p99 ≤ 15 ms"),
    (
        "drain",
        "drain of a backlog of 8.6 kB (`make bench`: 100,000 of 150,000 events, `make bench-long`: nine tenths of 1,200,000), \
         from the first confirmation to the `kill -9` in its midst",
        "≥ 80 % of librdkafka alone",
    ),
    ("memory-index", "resident memory, duplicate index full, at 500 events/s of the mix", "≤ 64 MiB"),
    ("memory-burst", "resident memory in the burst, duplicate index full; and in the bursts above", "≤ 160 MiB"),
    ("memory-backlog", "resident memory from 0 to 10 GB of backlog (`make bench`: about 1.3 GB)", "flat: within 10 %"),
    (
        "restart",
        "from `kill -9` to the first 204, with 10 GB in the journal, 1 GB of it unpublished (`make bench`: about 1.3 GB, a \
         third of it unpublished); and with all of it unpublished, and with none",
        "≤ 2 s",
    ),
    (
        "scale",
        "cost against scale: CPU per event at backlog 0, 10⁵, 10⁶ (10⁶: `make bench-long`; Kafka away, without the \
         publishing, which the drain tells); 1, 8, 64 sources",
        "flat within 10 % (the drain, 300 partitions: told)",
    ),
    ("start", "binary, cold start to ready", "≤ 25 MB stripped; ≤ 1 s with and without Kafka"),
    (
        "allocator",
        "allocators, loaded before glibc's: memory in and after a burst of huge bodies while Kafka is away (with \
         `intake.in_flight_max: 256MiB`), CPU per event (`make bench-long`)",
        "none: it is told",
    ),
    (
        "losses",
        "acknowledged and lost: `kill -9` under load; 30 s without Kafka; the same with `kill -9` before Kafka comes back",
        "none; what is refused while Kafka is away is told",
    ),
];

#[cfg(test)]
mod tests {
    use super::GOALS;
    use crate::rows::ROWS;

    #[test]
    fn every_goal_of_a_row_is_on_the_page_and_every_goal_has_a_row() {
        let known: Vec<&str> = GOALS.iter().map(|(name, ..)| *name).collect();
        let measured: Vec<&str> = ROWS.iter().flat_map(|row| row.goals).copied().collect();
        assert!(measured.iter().all(|name| known.contains(name)), "{measured:?}");
        let elsewhere = known.iter().filter(|name| !measured.contains(name)).collect::<Vec<_>>();
        assert_eq!(elsewhere, [&"cpu-scripted"], "the long run's alone");
    }
}
