//! One case: which call on which path is struck how, the how-manieth time. It has a number, so that one can be repeated.
//!
//! In: numbers, and lines of a traced run. Out: cases. Never happens: a case that the traced run did not show.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Calls that change or open files, as strace names them.
pub const CALLS: [&str; 13] = [
    "write",
    "pwrite64",
    "fdatasync",
    "fsync",
    "fallocate",
    "ftruncate",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "open",
    "openat",
];

/// What a case runs through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scene {
    /// An empty folder; calls count from the first instruction.
    Fresh,
    /// The folder of a bridge that was killed; calls count from the first instruction.
    Recovery,
    /// An empty folder; calls count from the moment at which the bridge listens, so that those of the start do not hide
    /// those of the threads that follow it.
    Running,
    /// As [`Scene::Fresh`], with the binary that users run and its segments of 64 MiB.
    Binary,
}

pub const SCENES: [Scene; 4] = [Scene::Fresh, Scene::Recovery, Scene::Running, Scene::Binary];

/// How a call is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Kill,
    Eio,
    Enospc,
}

pub const FAULTS: [Fault; 3] = [Fault::Kill, Fault::Eio, Fault::Enospc];

/// A path below `journal.dir`, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u8);

const FIXED: [&str; 7] =
    ["", "journal", "quarantine", "dead", "journal/lock", "journal/checkpoint", "journal/checkpoint.new"];
const SUFFIXES: [&str; 3] = ["segment", "new", "rewrite"];
/// Numbers of segments begin here.
const SEGMENTS_FROM: u8 = 10;

impl Place {
    /// Wherever the call goes: log, sockets, wake-ups.
    pub const ANYWHERE: Place = Place(255);

    fn of(path: &str) -> Option<Place> {
        let path = path.trim_end_matches('/');
        if let Some(index) = FIXED.iter().position(|fixed| *fixed == path) {
            return Some(Place(index as u8));
        }
        let (number, suffix) = path.strip_prefix("journal/")?.split_once('.')?;
        let suffix = SUFFIXES.iter().position(|known| *known == suffix)? as u8;
        let number = number.parse::<u8>().ok().filter(|number| *number < 80)?;
        Some(Place(SEGMENTS_FROM + 3 * number + suffix))
    }

    /// The path below `journal.dir`; `None`: anywhere.
    pub fn path(self) -> Option<String> {
        match self.0 {
            255 => None,
            fixed if usize::from(fixed) < FIXED.len() => Some(FIXED[usize::from(fixed)].to_owned()),
            segment => {
                let segment = segment.saturating_sub(SEGMENTS_FROM);
                Some(format!("journal/{:020}.{}", segment / 3, SUFFIXES[usize::from(segment % 3)]))
            }
        }
    }

    fn is(self, suffix: &str) -> bool {
        self.path().is_some_and(|path| path.ends_with(suffix))
    }

    /// A file whose failed write or sync poisons a running journal.
    pub fn poisons(self) -> bool {
        self.is(".segment") || self.is("/checkpoint")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    pub scene: Scene,
    /// Place in [`CALLS`].
    call: u8,
    pub place: Place,
    pub nth: u16,
    pub fault: Fault,
}

impl Case {
    pub fn call(&self) -> &'static str {
        CALLS[usize::from(self.call)]
    }

    /// What `--seed` takes to repeat it.
    pub fn number(&self) -> u64 {
        let head = (self.scene as u64 * 16 + u64::from(self.call)) * 256 + u64::from(self.place.0);
        (head * 4 + self.fault as u64) * 10_000 + u64::from(self.nth)
    }

    /// The case of a number.
    pub fn of(number: u64) -> Option<Case> {
        let (head, nth) = (number / 10_000, (number % 10_000) as u16);
        let fault = *FAULTS.get((head % 4) as usize)?;
        let (place, head) = (Place((head / 4 % 256) as u8), head / 1_024);
        let call = (head % 16) as u8;
        let scene = *SCENES.get((head / 16) as usize)?;
        (usize::from(call) < CALLS.len() && nth > 0).then_some(Case { scene, call, place, nth, fault })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.path().map_or("anywhere".to_owned(), |path| format!("on journal.dir/{path}"));
        let Case { scene, nth, fault, .. } = self;
        write!(formatter, "{scene:?}: {fault:?} at {} number {nth} {place}", self.call())
    }
}

/// Every case that a traced run of `scene` shows: each call on each path of the journal, and each `write` elsewhere, as
/// often as the thread that makes most of them makes it.
pub fn cases(scene: Scene, trace: &str, dir: &Path) -> Vec<Case> {
    let mut counts: BTreeMap<(u8, Place, &str), u16> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((name, arguments)) = rest.trim_start().split_once('(') else { continue };
        let Some(call) = CALLS.iter().position(|call| *call == name) else { continue };
        let inside = path_in(arguments, dir).and_then(|path| Place::of(&path));
        let place = match inside {
            Some(place) => place,
            None if name == "write" => Place::ANYWHERE,
            None => continue,
        };
        *counts.entry((call as u8, place, thread)).or_default() += 1;
    }
    let mut most: BTreeMap<(u8, Place), u16> = BTreeMap::new();
    for ((call, place, _), count) in counts {
        let seen = most.entry((call, place)).or_default();
        *seen = (*seen).max(count);
    }
    let mut cases = Vec::new();
    for ((call, place), count) in most {
        for nth in 1..=count.min(9_999) {
            cases.extend(FAULTS.map(|fault| Case { scene, call, place, nth, fault }));
        }
    }
    cases
}

/// The first path of a call that lies in `dir`, relative to it. strace shows descriptors as `27</path>`.
fn path_in(arguments: &str, dir: &Path) -> Option<String> {
    let dir = dir.to_str()?;
    let after = &arguments[arguments.find(dir)? + dir.len()..];
    let path = &after[..after.find(['"', '>'])?];
    (path.is_empty() || path.starts_with('/')).then(|| path.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = r#"
7 openat(AT_FDCWD</w>, "/w/d/", O_RDONLY|O_CLOEXEC) = 27</w/d>
7 fsync(27</w/d>)              = 0
7 openat(AT_FDCWD</w>, "/etc/passwd", O_RDONLY) = 3</etc/passwd>
7 rename("/w/d/journal/00000000000000000002.new", "/w/d/journal/00000000000000000002.segment") = 0
8 fdatasync(27</w/d/journal/checkpoint>) = 0
8 fdatasync(27</w/d/journal/checkpoint> <unfinished ...>
9 fdatasync(27</w/d/journal/checkpoint>) = 0
8 <... fdatasync resumed>)     = 0
9 write(25<pipe:[36969]>, "\1", 1)  = 1
9 pwrite64(27</w/dd/journal/checkpoint>, "x", 1, 0) = 1
"#;

    fn told() -> Vec<String> {
        let kills = cases(Scene::Fresh, TRACE, Path::new("/w/d")).into_iter().filter(|case| case.fault == Fault::Kill);
        kills.map(|case| case.to_string()).collect()
    }

    #[test]
    fn a_traced_run_tells_each_call_on_each_path_of_the_journal_by_its_busiest_thread() {
        assert_eq!(
            told(),
            [
                "Fresh: Kill at write number 1 anywhere",
                "Fresh: Kill at fdatasync number 1 on journal.dir/journal/checkpoint",
                "Fresh: Kill at fdatasync number 2 on journal.dir/journal/checkpoint",
                "Fresh: Kill at fsync number 1 on journal.dir/",
                "Fresh: Kill at rename number 1 on journal.dir/journal/00000000000000000002.new",
                "Fresh: Kill at openat number 1 on journal.dir/",
            ]
        );
    }

    #[test]
    fn a_case_comes_back_from_its_number() {
        for case in cases(Scene::Running, TRACE, Path::new("/w/d")) {
            assert_eq!(Case::of(case.number()), Some(case));
        }
        assert_eq!(Case::of(u64::MAX), None);
    }
}
