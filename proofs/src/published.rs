//! Figures of long runs, kept for `docs/proofs.md`.
//!
//! In: what a long run has done. Out: one line of JSON in `docs/proofs/figures.jsonl` for each proof and run, and the table
//! of `docs/proofs.md`, which adds them up. Never happens: a figure in the table that no line accounts for.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::figure::grouped;
use crate::{Figure, Order, PROOFS, Proof};

const BEGIN: &str = "<!-- published -->\n";
const END: &str = "<!-- /published -->";

fn docs() -> PathBuf {
    support::tools::root().join("docs")
}

fn figures_file() -> PathBuf {
    docs().join("proofs/figures.jsonl")
}

/// A first seed that no earlier long run has used: seeds of a run follow one another, far fewer than 2³² of them.
pub fn fresh_seed() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_secs() << 32
}

/// Adds one proof's figure.
pub fn add(proof: &Proof, figure: &Figure, order: &Order, took: Duration) -> Result<(), String> {
    let line = json!({
        "proof": proof.name,
        "count": figure.count,
        "unit": figure.unit,
        "none": figure.none,
        "more": figure.more,
        "seconds": took.as_secs(),
        "seed": order.seed,
        "date": humantime::format_rfc3339_seconds(SystemTime::now()).to_string()[..10],
        "commit": commit()?,
    });
    let path = figures_file();
    let folder = path.parent().expect("the file has a folder");
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let open = fs::OpenOptions::new().create(true).append(true).open(&path);
    open.and_then(|mut file| writeln!(file, "{line}")).map_err(|error| format!("{}: {error}", path.display()))
}

/// The commit that was run, with a mark where the tree holds something else.
fn commit() -> Result<String, String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(support::tools::root()).output();
        let output = output.map_err(|error| format!("git cannot be run: {error}"))?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ":!docs"])?;
    Ok(if changed.is_empty() { commit } else { format!("{commit} and changes") })
}

/// Writes the table anew.
pub fn write_table() -> Result<(), String> {
    let path = docs().join("proofs.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| format!("{} lacks the lines around the table", path.display()))?;
    let renewed = format!("{before}{BEGIN}{}{END}{after}", table()?);
    fs::write(&path, renewed).map_err(|error| format!("{}: {error}", path.display()))
}

/// The table as `docs/proofs.md` has it.
pub fn table() -> Result<String, String> {
    let path = figures_file();
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut by_proof: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line: Value =
            serde_json::from_str(line).map_err(|error| format!("{} line {}: {error}", path.display(), index + 1))?;
        let name = line["proof"].as_str().ok_or_else(|| format!("{} line {}: no proof", path.display(), index + 1))?;
        by_proof.entry(name.to_owned()).or_default().push(line);
    }
    let mut table = String::from(
        "| proof | count, all runs | result | time | last run: commit, date, details |\n| --- | --- | --- | --- | --- |\n",
    );
    for proof in &PROOFS {
        let Some(runs) = by_proof.get(proof.name) else {
            table.push_str(&format!("| `{}` | none yet | | | |\n", proof.name));
            continue;
        };
        table.push_str(&row(proof, runs));
    }
    Ok(table)
}

fn row(proof: &Proof, runs: &[Value]) -> String {
    let sum = |field: &str| runs.iter().filter_map(|run| run[field].as_u64()).sum::<u64>();
    let last = runs.last().expect("a proof is listed by its first run");
    let text = |field: &str| last[field].as_str().unwrap_or_default();
    let time = humantime::format_duration(Duration::from_secs(sum("seconds")));
    let more = if text("more").is_empty() { String::new() } else { format!(": {}", text("more")) };
    format!(
        "| `{}` | {} {} | 0 {} | {time} | {}, {}{more} |\n",
        proof.name,
        grouped(sum("count")),
        text("unit"),
        text("none"),
        text("commit"),
        text("date"),
    )
}
