//! Whether a life that was struck ended as the documents say.
//!
//! In: the case, how the life ended, its answers. Out: what it was, or what is wrong.

use support::ledger::Entry;

use super::case::{Case, Fault, Place};
use super::life::Ended;

/// What the blow came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The run did not come to the N-th call.
    Missed,
    Killed,
    /// The start gave up with 1.
    NotStarted,
    /// Poisoned, 503 from then on, exit 1.
    Poisoned,
    /// It went on: every event kept, clean stop.
    WentOn,
    /// A log line, a socket or a wake-up failed and took the process, or one of its threads, with it.
    Fell,
}

/// A life as it is judged.
pub struct Lived<'a> {
    /// It listened.
    pub started: bool,
    pub ended: &'a Ended,
    /// Errors put in.
    pub strikes: usize,
    pub entries: &'a [Entry],
}

pub fn outcome(case: &Case, lived: &Lived<'_>) -> Result<Outcome, String> {
    let Lived { started, ended, strikes, entries } = lived;
    let wrong = |what: &str| Err(format!("{what} ({:?}):{}", ended.status, ended.last_lines()));
    if case.fault == Fault::Kill && ended.is_killed() {
        return Ok(Outcome::Killed);
    }
    let all_kept = entries.iter().all(Entry::is_kept);
    let is_clean = *started && ended.code() == Some(0) && all_kept;
    if *strikes == 0 {
        return if is_clean { Ok(Outcome::Missed) } else { wrong("nothing was struck, and it did not go well") };
    }
    let is_elsewhere = case.place == Place::ANYWHERE;
    // A wake-up that cannot be written is a panic of the runtime's, and no word of the bridge's.
    let is_excused = |betrayal: &&String| is_elsewhere && betrayal.starts_with("a panic");
    if let Some(betrayal) = ended.betrayals().iter().find(|betrayal| !is_excused(betrayal)) {
        return wrong(betrayal);
    }
    if is_elsewhere {
        return match ended.status {
            None => wrong("it hangs"),
            Some(_) if is_clean => Ok(Outcome::WentOn),
            Some(_) => Ok(Outcome::Fell),
        };
    }
    if !started {
        let said = ended.log.iter().any(|line| line.contains("journal"));
        return match ended.code() {
            Some(1) if said => Ok(Outcome::NotStarted),
            _ => wrong("a start that cannot go on does not end with 1 and a sentence"),
        };
    }
    let is_poisoned = ended.has_said("journal poisoned");
    let must_poison = case.place.poisons() && matches!(case.call(), "pwrite64" | "fdatasync" | "fsync");
    match (is_poisoned, must_poison) {
        (true, false) => wrong("poisoned by what costs a spare, a removal or a look alone"),
        (false, true) => wrong("not poisoned by a failed write or sync"),
        (true, true) if ended.code() != Some(1) => wrong("poisoned, and no exit with 1 in time"),
        (true, true) if kept_after_refusal(entries) && !ended.has_said("journal full") => {
            wrong("an event was taken behind a failed write or sync")
        }
        (true, true) => Ok(Outcome::Poisoned),
        (false, false) if is_clean => Ok(Outcome::WentOn),
        (false, false) if !all_kept => wrong("an event was never taken"),
        (false, false) => wrong("no clean end"),
    }
}

/// Whether a 2xx follows a 503.
fn kept_after_refusal(entries: &[Entry]) -> bool {
    let statuses = entries.iter().flat_map(|entry| &entry.statuses);
    let mut refused = false;
    statuses.into_iter().any(|status| {
        refused |= *status == 503;
        refused && *status < 300 && *status > 0
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use support::events::{Event, KEY_MARKER, Source};

    use super::super::case::{Case, Scene, cases};
    use super::*;

    const SYNC: &str = "1 fdatasync(27</d/journal/00000000000000000001.segment>) = 0";
    const WAKE_UP: &str = "1 write(25<anon_inode:[eventfd]>, \"\\1\", 8) = 8";
    const SPARE: &str = "1 fsync(27</d/journal/00000000000000000001.new>) = 0";

    fn case(trace: &str, fault: Fault) -> Case {
        let all = cases(Scene::Fresh, trace, std::path::Path::new("/d"));
        *all.iter().find(|case| case.fault == fault).expect("the trace shows it")
    }

    fn ended(raw: i32, line: &str) -> Ended {
        Ended { status: Some(ExitStatus::from_raw(raw)), log: vec![line.to_owned()] }
    }

    fn entry(statuses: &[u16]) -> Entry {
        let event = Event::known(&Source::new("s", "/s", "s."), "call_ended", None, "{}");
        let mut entry = Entry::new(event, 1, String::new());
        entry.statuses = statuses.to_vec();
        entry.kept_turn = statuses.contains(&204).then_some(1);
        entry
    }

    fn told(case: Case, ended: &Ended, entries: &[Entry]) -> Result<Outcome, String> {
        outcome(&case, &Lived { started: true, ended, strikes: 1, entries })
    }

    #[test]
    fn a_failed_sync_that_poisons_nothing_is_wrong() {
        let sync = case(SYNC, Fault::Eio);
        let went_on = ended(0, "all is well");
        assert!(told(sync, &went_on, &[entry(&[204])]).unwrap_err().contains("not poisoned"));
        let poisoned = ended(1 << 8, "journal poisoned");
        assert_eq!(told(sync, &poisoned, &[entry(&[204]), entry(&[503, 503])]), Ok(Outcome::Poisoned));
        let hangs = Ended { status: None, log: vec!["journal poisoned".to_owned()] };
        assert!(told(sync, &hangs, &[entry(&[503])]).unwrap_err().contains("no exit"));
    }

    #[test]
    fn a_panic_is_excused_where_a_wake_up_was_struck_and_nowhere_else() {
        let panicked = ended(101 << 8, "thread 'writer' panicked at runtime.rs:1");
        assert_eq!(told(case(WAKE_UP, Fault::Eio), &panicked, &[entry(&[204])]), Ok(Outcome::Fell));
        assert!(told(case(SYNC, Fault::Eio), &panicked, &[entry(&[204])]).unwrap_err().contains("a panic"));
        let key = ended(101 << 8, &format!("thread 'writer' panicked at runtime.rs:1 {KEY_MARKER}"));
        assert!(told(case(WAKE_UP, Fault::Eio), &key, &[]).unwrap_err().contains("an API key"));
    }

    #[test]
    fn an_event_taken_behind_a_failed_sync_is_wrong() {
        let poisoned = ended(1 << 8, "journal poisoned");
        let story = told(case(SYNC, Fault::Enospc), &poisoned, &[entry(&[503, 204])]);
        assert!(story.unwrap_err().contains("behind a failed"));
    }

    #[test]
    fn a_spare_that_costs_more_than_itself_is_wrong() {
        let spare = case(SPARE, Fault::Eio);
        assert_eq!(told(spare, &ended(0, "fine"), &[entry(&[503, 204])]), Ok(Outcome::WentOn));
        assert!(told(spare, &ended(0, "fine"), &[entry(&[503])]).unwrap_err().contains("never taken"));
        assert!(told(spare, &ended(1 << 8, "journal poisoned"), &[]).unwrap_err().contains("poisoned by"));
    }
}
