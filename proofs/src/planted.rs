//! Bugs put in on purpose: each must be caught by the proof that is meant to catch it, and for the reason that is meant.
//!
//! In: the list of `retell_bridge::planted`. Out: how many were caught. Never happens: a bug that counts as caught although
//! its proof fails about something else; a bug of the list without a catcher. That the same proofs find nothing where no bug
//! is planted is their own line, in every command that has this one.

use std::collections::BTreeSet;
use std::time::Duration;

use retell_bridge::planted::Bug;

use crate::rebuilt::Rebuilt;
use crate::{Figure, Order};

/// A planted bug costs its catcher no more time than this.
const CAUGHT_WITHIN: Duration = Duration::from_secs(240);

/// Who is to catch a bug, and one of the words that its story must have.
struct Catcher {
    bug: Bug,
    proof: &'static str,
    says: &'static [&'static str],
}

/// Each bug with its catcher; a match, so that the compiler misses none.
fn catcher(bug: Bug) -> Catcher {
    let (proof, says): (_, &[_]) = match bug {
        Bug::AckBeforeSync => ("simulation", &["LOST: record"]),
        Bug::NoDirectorySync => ("simulation", &["LOST: record"]),
        Bug::BothSlotsBetweenSyncs => ("simulation", &["LOST: record", "the checkpoint is", "not as settled up to"]),
        Bug::SyncRetried => ("simulation", &["is not poisoned by Failed { call: Sync"]),
        Bug::CutInTheMiddle => ("simulation", &["nothing was said", "LOST: record"]),
        Bug::LengthOutsideTheChecksum => ("simulation", &["turned over: nothing was said"]),
        Bug::AppendToAnOldFile => ("simulation", &["LOST: record", "is not what segment", "is not poisoned by Failed"]),
        Bug::PositionReusedAfterACut => ("simulation", &["was reached", "and is now record"]),
        Bug::RecoveryIgnoresAFailedSync => ("simulation", &["LOST: record"]),
        Bug::PublishBeforeSync => ("pipeline", &["was published before its sync"]),
        Bug::CheckpointBeforeReceipt => ("pipeline", &["the checkpoint is ahead of a receipt"]),
        Bug::CheckpointWithAGap => ("pipeline", &["the checkpoint has passed over a gap"]),
        Bug::DuplicateBeforeItIsDurable => {
            ("pipeline", &["a duplicate was answered 2xx before its first copy was synced"])
        }
        Bug::EntryLeftByARefusedCopy => ("pipeline", &["a refused copy left its entry"]),
        Bug::SegmentFreedUnderALane => ("pipeline", &["a segment was freed under a lane"]),
        Bug::WholeBatchSetAside => ("pipeline", &["of a record that fits"]),
        Bug::KeyFileHalfWritten => ("keys", &["was refused"]),
    };
    Catcher { bug, proof, says }
}

const PLANTED: Rebuilt = Rebuilt { bin: "planted", feature: "planted-bugs" };

/// See the module.
pub fn prove(_order: &Order) -> Result<Figure, String> {
    PLANTED.build()?;
    let catchers: Vec<Catcher> = Bug::ALL.into_iter().map(catcher).collect();
    let proofs: BTreeSet<&str> = catchers.iter().map(|catcher| catcher.proof).collect();
    let mut survivors = Vec::new();
    for catcher in &catchers {
        if let Err(why) = catch(catcher) {
            survivors.push(format!("{}: {why}", catcher.bug.name()));
        }
    }
    if !survivors.is_empty() {
        return Err(survivors.join("\n"));
    }
    let names: Vec<&str> = proofs.into_iter().collect();
    let more = format!("each by its own of {}", names.join(", "));
    Ok(Figure { count: catchers.len() as u64, unit: "planted bugs caught", none: "survived", more })
}

fn catch(catcher: &Catcher) -> Result<(), String> {
    let (bug, proof) = (catcher.bug.name(), catcher.proof);
    let ended = PLANTED.run(&["run".into(), proof.into()], &[("PLANTED_BUG", bug)], CAUGHT_WITHIN)?;
    let repeat = format!("{} && PLANTED_BUG={bug} target/proof/planted run {proof}", PLANTED.command());
    match ended.status.code() {
        Some(0) => Err(format!("{proof} did not see it; repeat it with {repeat}")),
        Some(1) if catcher.says.iter().any(|says| ended.text.contains(says)) => Ok(()),
        code => {
            let last: Vec<&str> = ended.text.lines().rev().take(4).collect();
            Err(format!(
                "{proof} ended with {code:?}, but not with {:?}; its last lines: {last:?}; repeat it with {repeat}",
                catcher.says
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PROOFS;

    #[test]
    fn every_bug_has_a_name_of_its_own_and_a_proof_that_there_is() {
        let names: BTreeSet<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        assert_eq!(names.len(), Bug::ALL.len());
        for bug in Bug::ALL {
            let catcher = catcher(bug);
            assert!(PROOFS.iter().any(|proof| proof.name == catcher.proof), "{} is caught by nobody", bug.name());
            assert!(catcher.says.iter().all(|says| !says.is_empty()), "{}: any story would do", bug.name());
        }
    }
}
