//! `retell-bridge config check --online`: Kafka, the disk, the intake's certificate and the clock, asked.
//!
//! In: checked settings. Out: one line for each check: how it stands, what it is about, what was found, and the cure. Never
//! happens: a record sent, a topic or a journal made; a check that waits for more than some ten seconds; `ok` for what
//! could not be looked at.

mod certificate;
mod clock;
mod disk;
mod kafka;

use std::process::ExitCode;

use serde_json::json;

use super::output;
use crate::config::Config;

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Ok,
    /// It works, and may not for long.
    Warn,
    /// It cannot be looked at with these rights, or here.
    Unknown,
    Fail,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub standing: Standing,
    /// A setting, a topic.
    pub about: String,
    pub found: String,
    /// Empty where there is nothing to do.
    pub cure: String,
}

impl Check {
    pub fn new(standing: Standing, about: &str, found: impl Into<String>, cure: impl Into<String>) -> Check {
        Check { standing, about: about.to_owned(), found: found.into(), cure: cure.into() }
    }

    pub fn ok(about: &str, found: impl Into<String>) -> Check {
        Check::new(Standing::Ok, about, found, "")
    }

    fn line(&self) -> String {
        let Check { standing, about, found, cure } = self;
        let cure = if cure.is_empty() { String::new() } else { format!("; {cure}") };
        format!("{:<7} {about}: {found}{cure}", standing.word())
    }
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Standing::Ok => "ok",
            Standing::Warn => "warn",
            Standing::Unknown => "unknown",
            Standing::Fail => "FAIL",
        }
    }
}

/// Runs every check; exit code 1 where one fails.
pub fn run(config: &Config, as_json: bool) -> anyhow::Result<ExitCode> {
    // Side by side: Kafka's wait for the network, the disk's for its syncs.
    let (kafka, disk) = std::thread::scope(|scope| {
        let kafka = scope.spawn(|| kafka::checks(config));
        let disk = disk::checks(config);
        (kafka.join(), disk)
    });
    let kafka = kafka.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let checks: Vec<Check> =
        kafka.into_iter().chain(disk).chain(certificate::check(config)).chain([clock::check()]).collect();
    if as_json {
        for Check { standing, about, found, cure } in &checks {
            let standing = standing.word().to_lowercase();
            output::line(json!({"standing": standing, "about": about, "found": found, "cure": cure}))?;
        }
    } else {
        together(&checks).iter().try_for_each(|check| output::line(output::wrapped(&check.line(), "        ")))?;
    }
    let has_failed = checks.iter().any(|check| check.standing == Standing::Fail);
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What was found of several things alike, once for all of them, by name.
fn together(checks: &[Check]) -> Vec<Check> {
    let mut told: Vec<Check> = Vec::new();
    for check in checks {
        match told.iter_mut().find(|known| Check { about: check.about.clone(), ..(*known).clone() } == *check) {
            Some(known) => known.about += &format!(", {}", check.about),
            None => told.push(check.clone()),
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_of_several_topics_alike_is_told_once() {
        let missing = |about: &str| Check::new(Standing::Fail, about, "it is missing", "make it");
        let checks = [missing("a"), Check::ok("b", "well"), missing("c"), missing("d")];
        assert_eq!(together(&checks), [missing("a, c, d"), Check::ok("b", "well")]);
    }

    #[test]
    fn a_line_says_how_it_stands_about_what_and_the_cure() {
        let check = Check::new(Standing::Fail, "retell.call_ended", "it is missing", "`topics apply` makes it");
        assert_eq!(check.line(), "FAIL    retell.call_ended: it is missing; `topics apply` makes it");
        assert_eq!(Check::ok("clock", "in step").line(), "ok      clock: in step");
    }
}
