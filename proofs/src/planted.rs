//! Bugs put in on purpose: each must be caught by the proof that is meant to catch it, and for the reason that is meant.
//!
//! In: the list of `retell_bridge::planted`. Out: how many were caught. Never happens: a bug that counts as caught although
//! its proof fails about something else; a bug of the list without a catcher. That the same proofs find nothing where no bug
//! is planted is their own line, in every command that has this one.
//!
//! [`prove`] has each bug caught from inside, by a proof that runs the bridge's code in its own process. [`prove_outside`]
//! shows that the proofs which look at the real process and at real file systems see a bug as well: it puts the same program
//! and a bridge with the bug into a folder of their own, where the proofs find that bridge instead of the sound one.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use retell_bridge::planted::Bug;

use crate::rebuilt::{self, Rebuilt};
use crate::{Figure, Order};

/// A planted bug costs its catcher no more time than this.
const CAUGHT_WITHIN: Duration = Duration::from_secs(240);

/// From outside: a file system is filled and cut off, a cluster started.
const CAUGHT_OUTSIDE_WITHIN: Duration = Duration::from_secs(600);

/// Who is to catch a bug, and one of the words that its story must have.
struct Catcher {
    bug: Bug,
    proof: &'static str,
    says: &'static [&'static str],
}

/// Each bug with its catcher; a match, so that the compiler misses none. None: it shows in a process of its own alone.
fn catcher(bug: Bug) -> Option<Catcher> {
    let (proof, says): (_, &[_]) = match bug {
        Bug::InFlightWithoutLimit => return None,
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
        Bug::KeyNotHeld => ("pipeline", &["out of order on"]),
        Bug::WholeBatchSetAside => ("pipeline", &["of a record that fits"]),
        Bug::KeyFileHalfWritten => ("keys", &["was refused"]),
    };
    Some(Catcher { bug, proof, says })
}

/// Who is to see a bug of the real process, or of the journal on a real file system. No sync shows where the machine goes
/// on, so the order of sync and answer is `power`'s.
const OUTSIDE: [Catcher; 5] = [
    Catcher { bug: Bug::AckBeforeSync, proof: "power", says: &["LOST", "the next position is", "is not sound"] },
    Catcher { bug: Bug::SyncRetried, proof: "syscalls", says: &["poisoned"] },
    Catcher { bug: Bug::SyncRetried, proof: "disks", says: &["though a sync failed", "the journal is not poisoned"] },
    Catcher { bug: Bug::CheckpointBeforeReceipt, proof: "kills", says: &["lost"] },
    Catcher { bug: Bug::InFlightWithoutLimit, proof: "abuse", says: &["memory"] },
];

const PLANTED: Rebuilt = Rebuilt { bin: "planted", feature: "planted-bugs" };
/// Where the proofs look for the bridge's programs: beside themselves.
const PROGRAMS: [(&str, &str); 2] = [("planted-bridge", "retell-bridge"), ("planted-small-bridge", "small-bridge")];

/// See the module.
pub fn prove(_order: &Order) -> Result<Figure, String> {
    let program = PLANTED.build()?;
    let catchers: Vec<Catcher> = Bug::ALL.into_iter().filter_map(catcher).collect();
    all_caught(&catchers, &program, CAUGHT_WITHIN)
}

/// See the module.
pub fn prove_outside(_order: &Order) -> Result<Figure, String> {
    let program = PLANTED.build()?;
    let folder = program.with_file_name("planted-outside");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let linked = |from: &Path, name: &str| {
        let to = folder.join(name);
        let _ = std::fs::remove_file(&to);
        std::fs::hard_link(from, &to).map_err(|error| format!("{}: {error}", to.display())).map(|()| to)
    };
    for (bin, name) in PROGRAMS {
        linked(&Rebuilt { bin, ..PLANTED }.build()?, name)?;
    }
    all_caught(&OUTSIDE, &linked(&program, "planted")?, CAUGHT_OUTSIDE_WITHIN)
}

fn all_caught(catchers: &[Catcher], program: &Path, within: Duration) -> Result<Figure, String> {
    let proofs: BTreeSet<&str> = catchers.iter().map(|catcher| catcher.proof).collect();
    let mut survivors = Vec::new();
    for catcher in catchers {
        if let Err(why) = catch(catcher, program, within) {
            survivors.push(format!("{} under {}: {why}", catcher.bug.name(), catcher.proof));
        }
    }
    if !survivors.is_empty() {
        return Err(survivors.join("\n"));
    }
    let names: Vec<&str> = proofs.into_iter().collect();
    let more = format!("each by its own of {}", names.join(", "));
    Ok(Figure { count: catchers.len() as u64, unit: "planted bugs caught", none: "survived", more })
}

fn catch(catcher: &Catcher, program: &Path, within: Duration) -> Result<(), String> {
    let (bug, proof) = (catcher.bug.name(), catcher.proof);
    let ended = rebuilt::run(program, &["run".into(), proof.into()], &[("PLANTED_BUG", bug)], within)?;
    let relative = program.strip_prefix(support::tools::root()).unwrap_or(program);
    let repeat = format!("{} && PLANTED_BUG={bug} {} run {proof}", PLANTED.command(), relative.display());
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
            let outside = OUTSIDE.iter().find(|catcher| catcher.bug == bug);
            let inside = catcher(bug);
            let catcher = inside.as_ref().or(outside).expect("somebody is to catch it");
            assert!(PROOFS.iter().any(|proof| proof.name == catcher.proof), "{} is caught by nobody", bug.name());
            assert!(catcher.says.iter().all(|says| !says.is_empty()), "{}: any story would do", bug.name());
        }
    }
}
