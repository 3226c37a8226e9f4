//! The intake's certificate: for whom, until when.

use std::time::Duration;

use super::{Check, Standing};
use crate::config::Config;
use crate::intake::{CertificateFacts, certificate_of_files};

/// Renewals by machine come 30 days ahead, and those by hand take a while.
const SOON: Duration = Duration::from_secs(14 * 24 * 3_600);
const ABOUT: &str = "tls.cert_file";

/// Nothing where the intake speaks no TLS.
pub fn check(config: &Config) -> Option<Check> {
    let files = config.intake.tls.as_ref()?;
    let judged = certificate_of_files(files).and_then(|facts| Ok((facts.still_valid()?, facts)));
    Some(match judged {
        Err(error) => Check::new(Standing::Fail, error.file(), error.problem(), error.cure()),
        Ok((left, facts)) => of_valid(left, &facts),
    })
}

fn of_valid(left: Duration, facts: &CertificateFacts) -> Check {
    let found = format!("valid for {}, for {}", told(left), facts.names.join(", "));
    if facts.names.is_empty() {
        let cure = "make one whose subject alternative names hold the host in Retell's webhook URL";
        return Check::new(Standing::Fail, ABOUT, "names no host: no sender believes it", cure);
    }
    if left < SOON {
        return Check::new(Standing::Warn, ABOUT, found, "renew it; the files are read again while the bridge runs");
    }
    Check::ok(ABOUT, found)
}

/// In the largest unit of which at least one is left.
fn told(left: Duration) -> String {
    let minutes = left.as_secs() / 60;
    let (count, unit) = match minutes {
        0..60 => (minutes, "minute"),
        60..1_440 => (minutes / 60, "hour"),
        _ => (minutes / 1_440, "day"),
    };
    format!("{count} more {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_in_sight_is_a_warning_and_a_certificate_for_nobody_fails() {
        let facts = |names: &[&str]| CertificateFacts {
            names: names.iter().map(|name| (*name).into()).collect(),
            begins_at: 0,
            expires_at: 0,
        };
        let days = |days: u64| Duration::from_secs(days * 24 * 3_600);
        let ok = of_valid(days(20), &facts(&["a.example", "b.example"]));
        assert_eq!((ok.standing, &*ok.found), (Standing::Ok, "valid for 20 more days, for a.example, b.example"));
        let last = of_valid(Duration::from_secs(23 * 3_600 + 59), &facts(&["a.example"]));
        assert_eq!((last.standing, &*last.found), (Standing::Warn, "valid for 23 more hours, for a.example"));
        let told = [1, 59 * 60, 3_600, 24 * 3_600].map(|seconds| told(Duration::from_secs(seconds)));
        assert_eq!(told, ["0 more minutes", "59 more minutes", "1 more hour", "1 more day"]);
        assert_eq!(of_valid(days(13), &facts(&["a.example"])).standing, Standing::Warn);
        assert_eq!(of_valid(days(20), &facts(&[])).standing, Standing::Fail);
    }
}
