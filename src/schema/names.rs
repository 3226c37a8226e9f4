//! Which names of fields become labels: the first few of each type, then none.
//!
//! In: findings. Out: the field under which each is counted, and whether it is new. Never happens: more than
//! [`NAMES_MAX`] names of one type in the life of a process; a name that the check has not found plain.

use std::collections::HashSet;

use super::KINDS;
use super::check::{BODY, Finding, OTHER, Problem};
use crate::event::Kind;

/// Names of one type, both problems together: more than a release of Retell's brings, few enough for a Prometheus.
const NAMES_MAX: usize = 32;

/// The names that were given out.
#[derive(Default)]
pub(super) struct Names {
    seen: [HashSet<(Problem, String)>; KINDS.len()],
}

/// How one finding is counted.
pub(super) struct Counted {
    pub field: String,
    /// The first of its name, to be told.
    pub is_new: bool,
}

impl Names {
    pub fn count(&mut self, kind: Kind, finding: Finding) -> Counted {
        let Finding { problem, field } = finding;
        let Some(number) = KINDS.iter().position(|known| *known == kind) else {
            return Counted { field: OTHER.to_owned(), is_new: false };
        };
        let seen = &mut self.seen[number];
        let name = (problem, field);
        if seen.contains(&name) {
            return Counted { field: name.1, is_new: false };
        }
        let is_fixed = [BODY, OTHER].contains(&name.1.as_str());
        if seen.len() >= NAMES_MAX && !is_fixed {
            return Counted { field: OTHER.to_owned(), is_new: false };
        }
        let field = name.1.clone();
        seen.insert(name);
        Counted { field, is_new: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(names: &mut Names, kind: Kind, field: &str) -> (String, bool) {
        let Counted { field, is_new } =
            names.count(kind, Finding { problem: Problem::Unknown, field: field.to_owned() });
        (field, is_new)
    }

    #[test]
    fn a_name_is_new_once_for_each_type() {
        let mut names = Names::default();
        assert_eq!(count(&mut names, Kind::CallEnded, "call.new"), ("call.new".to_owned(), true));
        assert_eq!(count(&mut names, Kind::CallEnded, "call.new"), ("call.new".to_owned(), false));
        assert_eq!(count(&mut names, Kind::CallStarted, "call.new"), ("call.new".to_owned(), true));
    }

    #[test]
    fn beyond_the_first_few_a_name_is_other_and_the_first_few_keep_their_own() {
        let mut names = Names::default();
        (0..NAMES_MAX).for_each(|number| assert!(count(&mut names, Kind::CallEnded, &format!("a{number}")).1));
        assert_eq!(count(&mut names, Kind::CallEnded, "b"), (OTHER.to_owned(), false));
        assert_eq!(count(&mut names, Kind::CallEnded, "a7"), ("a7".to_owned(), false));
        assert_eq!(count(&mut names, Kind::CallEnded, BODY), (BODY.to_owned(), true));
        assert_eq!(count(&mut names, Kind::ChatEnded, "b"), ("b".to_owned(), true));
    }
}
