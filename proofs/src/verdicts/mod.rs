//! The judge is judged: one lie at a time, and it must be caught under its own name, and under no other.
//!
//! In: cases made up in [`scene`], with one lie each, and cases with trouble that excuses what is there. Out: how many
//! lies were told. Never happens: a lie that passes, a clean case that is convicted.

mod lies;
mod scene;

use crate::{Figure, Order};
use lies::{EXCUSED, LIES, header_lies};
use scene::Case;

/// See the module.
pub fn prove(_order: &Order) -> Result<Figure, String> {
    for (what, make) in EXCUSED {
        let mut case = Case::faultless();
        make(&mut case);
        if let Some(scene) = case.judge().scene() {
            return Err(format!("nothing is wrong, and the judge convicts: {what}\n{scene}\n{REPEAT}"));
        }
    }
    for (what, names, tell) in LIES {
        let mut case = Case::faultless();
        tell(&mut case);
        caught(what, names, &case)?;
    }
    let headers = header_lies();
    for (name, case) in &headers {
        caught(name, &["wrong headers"], case)?;
    }
    let count = (LIES.len() + headers.len()) as u64;
    let more = format!("{} clean cases let pass", EXCUSED.len());
    Ok(Figure { count, unit: "lies told", none: "believed", more })
}

const REPEAT: &str = "repeat it with make proofs && target/proof/proofs run judge";

fn caught(what: &str, names: &[&str], case: &Case) -> Result<(), String> {
    let report = case.judge();
    let found: Vec<&str> = report.wrong.keys().copied().collect();
    if found == names {
        return Ok(());
    }
    let scene = report.scene().unwrap_or_else(|| "the judge finds nothing".into());
    Err(format!("{what}: should be {names:?}, is {found:?}\n{scene}\n{REPEAT}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use support::events::{Maker, Source};
    use support::sign::signature;
    use support::sweep::betrayals;

    use super::*;

    #[test]
    fn every_lie_is_caught_under_its_own_name_and_no_clean_case_is_convicted() {
        prove(&Order::COMMIT).unwrap();
    }

    #[test]
    #[should_panic(expected = "lost: 1")]
    fn a_report_with_a_fault_panics_with_the_scene() {
        let mut case = Case::faultless();
        case.records.remove(1);
        case.judge().assert_clean();
    }

    #[test]
    fn a_kill_is_told_how_many_records_it_caused_to_be_sent_again() {
        let mut case = Case::faultless();
        case.kill(11);
        case.repeat();
        let report = case.judge();
        assert_eq!((report.repeated, report.repeated_after), (2, vec![2]));
    }

    #[test]
    fn the_sweep_finds_what_may_not_be_said() {
        let source: Arc<Source> = Source::new("default", "/webhook", "t.");
        let mut maker = Maker::new(1);
        let id = maker.id();
        let event = maker.sized(&source, "call_ended", &id, false, 400);
        let body = String::from_utf8_lossy(&event.body).into_owned();
        let signed = signature(&source.api_key, &event.body, 1_700_000_000_123);
        for secret in [body.as_str(), &id, &source.api_key, &signed, "+12137775555", "/webhook?agent=querymk"] {
            assert_eq!(betrayals([secret]).len(), 1, "not found: {secret}");
        }
        let harmless = r#"{"level":"INFO","message":"intake listening","address":"127.0.0.1:8080","ce_id":"0123456789abcdef0123456789abcdef"}"#;
        assert!(betrayals([harmless]).is_empty());
    }
}
