//! The known name nearest to a mistaken one. Pure.

use strsim::normalized_damerau_levenshtein as alike;

/// The nearest of `known`; `None` only where there is none.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    best(known.into_iter().map(|each| (alike(&word, &each.to_lowercase()), each)))
}

/// The nearest path: a like name at another place counts as well as a like place (`intake.listen`: `listen`).
pub fn nearest_path<'k>(path: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let path = path.to_lowercase();
    best(known.into_iter().map(|each| (alike(&path, each) + alike(last(&path), last(each)), each)))
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

fn best<'k>(scored: impl Iterator<Item = (f64, &'k str)>) -> Option<&'k str> {
    scored.max_by(|one, two| one.0.total_cmp(&two.0)).map(|(_, each)| each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_and_a_wrong_place_are_both_found() {
        let known = ["kafka.brokers", "kafka.properties", "listen", "admin.listen", "topics.prefix", "intake.body_max"];
        for (given, meant) in [
            ("kafka.broker", "kafka.brokers"),
            ("kafak.brokers", "kafka.brokers"),
            ("listne", "listen"),
            ("kafka.prefix", "topics.prefix"),
            ("intake.max_body", "intake.body_max"),
        ] {
            assert_eq!(nearest_path(given, known), Some(meant), "{given}");
        }
        assert_eq!(nearest("CALL_END", ["call_started", "call_ended"]), Some("call_ended"));
        assert_eq!(nearest("x", []), None);
    }
}
