//! The instructions that our own code takes for one event, counted, with a bound: a commit that makes the hot path slower is
//! seen, on a machine however busy.
//!
//! `cargo test --profile proof --no-default-features -p bench --test instructions`. The counts are those of that profile,
//! which has the checks of a debug build in it: they compare commits, and are no measure of what users run. A bound is a
//! tenth above what was counted; whoever makes an event dearer on purpose raises it and says why.

use std::path::Path;

/// Size of the body, and the most instructions for one event.
const BOUNDS: [(&str, u64); 2] = [("small", 47_000), ("large", 223_000)];
/// A first count has the start in it; the difference of two has not.
const COUNTS: [u64; 2] = [160, 480];

#[test]
fn an_event_takes_no_more_instructions_than_it_did() {
    let mut told = Vec::new();
    for (size, bound) in BOUNDS {
        let own = of_an_event(size, None) - of_an_event(size, Some("hashes"));
        println!("{size}: {own} instructions for an event, without the hashes; at most {bound}");
        if own > bound {
            told.push(format!("{size}: {own} instructions for an event, at most {bound}: what has made it dearer?"));
        }
        if own < bound / 2 {
            told.push(format!("{size}: {own} instructions for an event, less than half of {bound}: lower the bound"));
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// What each further event adds.
fn of_an_event(size: &str, mode: Option<&str>) -> u64 {
    let [few, many] = COUNTS.map(|count| counted(size, count, mode));
    (many - few) / (COUNTS[1] - COUNTS[0])
}

/// All instructions of one run.
fn counted(size: &str, count: u64, mode: Option<&str>) -> u64 {
    let folder = support::tools::folder("callgrind");
    let out = folder.join("out");
    let mut command = support::tools::valgrind();
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(env!("CARGO_BIN_EXE_hot-path")).args([size, &count.to_string()]).args(mode);
    let run = command.output().unwrap_or_else(|error| panic!("valgrind cannot be run: {error}"));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let total = total(&out);
    std::fs::remove_dir_all(&folder).expect("a folder of one's own can be removed");
    total
}

/// callgrind's own sum.
fn total(out: &Path) -> u64 {
    let text = std::fs::read_to_string(out).expect("callgrind has written its file");
    let line = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    line.and_then(|count| count.trim().parse().ok()).expect("callgrind tells its sum")
}
