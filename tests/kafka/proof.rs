//! The end of most tests here: everything promised is there, and nothing else.

use std::time::Duration;

use support::bridge::Bridge;
use support::judge::{Circumstances, judge};
use support::kafka::Kafka;
use support::ledger::Ledger;
use support::records::Record;

const ARRIVE_WITHIN: Duration = Duration::from_secs(90);

/// Waits until the topics of `prefix` hold what the ledger promises and nothing waits in the journal (records sent twice
/// count twice, so the number alone may be reached early), ends the bridge in order, so that nothing can come late,
/// reads every one of those topics with both readers, and judges. Returns the records.
pub fn prove(
    kafka: &Kafka,
    bridge: &mut Bridge,
    prefix: &str,
    ledger: &Ledger,
    circumstances: &Circumstances,
) -> Vec<Record> {
    let copies = if circumstances.all_topic.is_some() { 2 } else { 1 };
    kafka.wait_count(prefix, ledger.kept() * copies, ARRIVE_WITHIN);
    bridge.wait_metrics("an empty backlog", |m| m.get("journal_backlog_events", &[]) == 0.0);
    bridge.stop_cleanly();
    let records = kafka.read_all(prefix);
    judge(ledger, &records, circumstances).assert_clean();
    records
}

/// As [`prove`], where nothing happened that would excuse anything.
pub fn prove_plainly(kafka: &Kafka, bridge: &mut Bridge, prefix: &str, ledger: &Ledger) -> Vec<Record> {
    ledger.assert_all_kept();
    prove(kafka, bridge, prefix, ledger, &Circumstances::default())
}
