//! What a case needs around the bridge: a folder, settings, a Kafka, a sender, and the end at which all is judged.
//!
//! In: lives on one folder. Out: nothing, or what is wrong. Never happens: a folder left over.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::events::{CALL_MARKER, Event, NUMBER_MARKER, Source, TRANSCRIPT_MARKER};
use support::judge::aside::{Aside, marks};
use support::judge::{Circumstances, Cut, judge_all};
use support::ledger::Entry;
use support::process::output_apart;
use support::settings::Settings;
use support::tools;

use super::life::{Ended, Life, Sender};
use super::mock::Mock;
use super::told::Told;
use crate::random::Random;

/// Types of the events of one call, in their order.
const STORY: [&str; 4] = ["call_started", "transcript_updated", "call_ended", "call_analyzed"];
/// The bridge answers within 8 s.
const HANGS_AFTER: Duration = Duration::from_secs(15);
const SIZES_BYTES: [usize; 6] = [400, 3_000, 6_000, 6_000, 11_000, 15_000];

/// How the bridge is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The same service with segments of this size.
    Small { segment_bytes: u64, size_max_bytes: u64 },
    /// The binary that users run.
    Binary,
}

pub struct Stage {
    pub folder: PathBuf,
    pub dir: PathBuf,
    pub mock: Mock,
    pub sender: Sender,
    pub program: Program,
    /// What each life left that did not end cleanly.
    cuts: Vec<Cut>,
    /// Producers given up, in all lives that are over.
    renewals: usize,
    source: Arc<Source>,
    random: Random,
    made: usize,
}

impl Stage {
    /// The journal lies in `dir`, or in the case's own folder.
    pub fn new(program: Program, dir: Option<&Path>, seed: u64, settings: Value) -> Result<Stage, String> {
        let source = Source::new("proof", "/proof", "proof.");
        let folder = tools::folder("syscalls");
        let dir = dir.map_or_else(|| folder.join("journal-dir"), Path::to_owned);
        let mock = Mock::start(&source)?;
        let base = json!({ "shutdown": { "delay": "0s", "deadline": "8s" } });
        let settings = Settings::new(&mock.brokers(), &[&source]).with(base).with(settings);
        settings.write(&folder.join("bridge.yaml"), &dir);
        let (sender, random) = (Sender::default(), Random::new(seed));
        Ok(Stage { folder, dir, mock, sender, program, cuts: Vec::new(), renewals: 0, source, random, made: 0 })
    }

    pub fn command(&self) -> Command {
        let settings = self.folder.join("bridge.yaml");
        let mut command;
        match self.program {
            Program::Small { segment_bytes, size_max_bytes } => {
                command = Command::new(tools::binary("small-bridge"));
                command.arg(settings).args([segment_bytes, size_max_bytes].map(|bytes| bytes.to_string()));
            }
            Program::Binary => {
                command = Command::new(tools::binary("retell-bridge"));
                command.arg("serve").arg("--config").arg(settings);
            }
        }
        command
    }

    /// The next event: four of each call, of sizes that the seed says.
    pub fn event(&mut self) -> Event {
        let bytes = self.random.pick(&SIZES_BYTES);
        self.sized(bytes)
    }

    /// As [`Stage::event`], of about so many bytes.
    pub fn sized(&mut self, bytes: usize) -> Event {
        let (call, kind) = (self.made / STORY.len(), STORY[self.made % STORY.len()]);
        self.made += 1;
        let id = format!("{CALL_MARKER}{call:06}");
        let mut words = format!("User: {TRANSCRIPT_MARKER} ");
        while words.len() < bytes {
            words.push_str(&format!("{:016x} ", self.random.number()));
        }
        let body = format!(
            r#"{{"event":"{kind}","call":{{"call_id":"{id}","from_number":"+{NUMBER_MARKER}1000","transcript":"{words}"}}}}"#
        );
        Event::known(&self.source, kind, Some(&id), body)
    }

    /// Sends one event until it is kept or the bridge is gone, at most `attempts` times. Whether it was kept.
    pub fn send(&mut self, life: &mut Life, event: &Event, attempts: usize) -> bool {
        let mut entry = Sender::sign(event);
        for attempt in 0..attempts {
            if attempt > 0 {
                std::thread::sleep(Duration::from_millis(100));
            }
            let began = Instant::now();
            self.sender.attempt(life.intake, &mut entry);
            // One that hangs without a word will not do better.
            if entry.is_kept() || !life.is_running() || began.elapsed() > HANGS_AFTER {
                break;
            }
        }
        let kept = entry.is_kept();
        self.sender.ledger.entries.push(entry);
        kept
    }

    /// A life is over that did not end cleanly: looks at what it left. Before the next one.
    pub fn died(&mut self, ended: &Ended) -> Result<(), String> {
        self.is_over(ended);
        let cut = Cut { ends: self.mock.last_ends()?, marks: marks(&self.dir), renewals: self.renewals };
        self.cuts.push(cut);
        Ok(())
    }

    /// A life is over.
    pub fn is_over(&mut self, ended: &Ended) {
        self.renewals += ended.renewals();
    }

    /// The judge's hour: a start without trouble, two events more, a clean stop with nothing left, a sound journal; then
    /// ledger against topics.
    pub fn judge(&mut self) -> Result<(), String> {
        let ended = self.last_life()?;
        for (what, said) in [("damage", "\"damaged_bytes\":"), ("a torn tail", "\"torn_bytes\":")] {
            let told = ended.log.iter().find(|line| line.contains(said) && !line.contains(&format!("{said}0")));
            if let Some(line) = told {
                return Err(format!("{what} is told where no byte was lost: {line}"));
            }
        }
        self.verify()?;
        self.compare()
    }

    /// A start without trouble takes events and publishes what was left.
    pub fn last_life(&mut self) -> Result<Ended, String> {
        let told = Told::before_start(self)?;
        let started = Life::start(self.command());
        let mut life = started.map_err(|ended| {
            let code = ended.status;
            format!("the start after it fails ({code:?}):{}", ended.last_lines())
        })?;
        for _ in 0..2 {
            let event = self.event();
            if !self.send(&mut life, &event, 60) {
                return Err(format!("the start after it takes no events:{}", life.stop().last_lines()));
            }
        }
        told.compare(self, &life)?;
        let ended = life.stop();
        self.is_over(&ended);
        if ended.code() != Some(0) || !ended.has_said("\"unpublished\":0") {
            return Err(format!("the stop after it is not clean ({:?}):{}", ended.status, ended.last_lines()));
        }
        Ok(ended)
    }

    /// `journal verify` finds nothing.
    pub fn verify(&self) -> Result<(), String> {
        let mut command = Command::new(tools::binary("retell-bridge"));
        command.args(["journal", "verify"]).arg(&self.dir);
        let output = output_apart(&mut command).map_err(|error| format!("retell-bridge cannot be run: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("journal verify is not content: {}", String::from_utf8_lossy(&output.stdout)))
    }

    /// Ledger against topics.
    pub fn compare(&self) -> Result<(), String> {
        let ledger = &self.sender.ledger;
        let complaints: Vec<&String> = ledger.entries.iter().flat_map(|entry| &entry.complaints).take(3).collect();
        if !complaints.is_empty() {
            return Err(format!("wrong answers: {complaints:?}"));
        }
        let (kills, renewals, cuts) = (self.cuts.len(), self.renewals, self.cuts.clone());
        let circumstances = Circumstances { kills, renewals, cuts, ..Circumstances::default() };
        let report = judge_all(ledger, &self.mock.read_all()?, &Aside::read(&self.dir), &circumstances);
        let kinds = report.wrong.iter();
        let wrong: Vec<String> =
            kinds.map(|(kind, cases)| format!("{kind}: {}, such as {}", cases.len(), cases[0])).collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    /// Entries from number `from` on.
    pub fn entries(&self, from: usize) -> &[Entry] {
        &self.sender.ledger.entries[from..]
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledged_event_that_is_on_no_topic_is_lost() {
        let program = Program::Small { segment_bytes: 64 << 10, size_max_bytes: 1 << 20 };
        let mut stage = Stage::new(program, None, 1, json!({})).unwrap();
        assert_eq!(stage.compare(), Ok(()));
        let mut entry = Sender::sign(&stage.event());
        stage.sender.ledger.entries.push(entry.clone());
        assert_eq!(stage.compare(), Ok(()), "nothing was promised");
        entry.kept_turn = Some(1);
        stage.sender.ledger.entries.push(entry);
        assert!(stage.compare().unwrap_err().contains("lost: 1"));
    }
}
