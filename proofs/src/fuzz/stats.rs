//! What libFuzzer says at its end.
//!
//! In: its standard error. Out: how many inputs it ran, and where it put the one that failed. Never happens: a run without
//! its final figures that counts.

/// Inputs that were run; `None` where the fuzzer did not come to its figures.
pub fn executions(text: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| line.trim().strip_prefix("stat::number_of_executed_units:"));
    line?.trim().parse().ok()
}

/// The file with the input that failed.
pub fn artifact(text: &str) -> Option<&str> {
    text.lines().rev().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path.trim())
}

/// What failed, in the words of the panic or of the fuzzer; the last lines where neither says anything.
pub fn story(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let panic = lines.iter().position(|line| line.contains("panicked at"));
    let error = || lines.iter().position(|line| line.contains("ERROR: libFuzzer"));
    let from = panic.or_else(error).unwrap_or(lines.len().saturating_sub(6));
    lines[from..].iter().take(6).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_ended_tells_how_many_inputs_it_ran() {
        let text =
            "INFO: seed corpus\nDone 12345 runs in 60 second(s)\nstat::number_of_executed_units: 12345\nstat::x: 1\n";
        assert_eq!((executions(text), artifact(text)), (Some(12_345), None));
        assert_eq!(executions("stat::number_of_executed_units: many"), None);
        assert_eq!(executions("error: could not compile"), None);
    }

    #[test]
    fn a_crash_is_told_with_its_words_and_its_file() {
        let text =
            "#5 NEW\nthread '<unnamed>' panicked at a.rs:1:2:\nLOST: record 3\nTest unit written to /a/crash-1\n";
        assert_eq!(artifact(text), Some("/a/crash-1"));
        assert!(story(text).starts_with("thread '<unnamed>' panicked at a.rs:1:2:\nLOST: record 3"));
    }
}
