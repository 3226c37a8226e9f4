//! Figures of long runs, kept for `docs/proofs.md`.
//!
//! In: what a long run has done. Out: one line of JSON in `docs/proofs/figures.jsonl` for each proof and run, and the
//! tables of `docs/proofs.md`, which add them up. Never happens: a figure on the page that no line accounts for.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::figure::grouped;
use crate::{Figure, Order, PROOFS, Proof, Seeds};

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
        "seed": order.seed.filter(|_| proof.seeds != Seeds::None),
        "date": humantime::format_rfc3339_seconds(SystemTime::now()).to_string()[..10],
        "commit": commit()?,
    });
    let path = figures_file();
    let folder = path.parent().expect("the file has a folder");
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let open = fs::OpenOptions::new().create(true).append(true).open(&path);
    open.and_then(|mut file| writeln!(file, "{line}")).map_err(|error| format!("{}: {error}", path.display()))
}

/// The commit that was built, with a mark where the tree has held anything else since then beside documents.
fn commit() -> Result<String, String> {
    let built = retell_bridge::config::COMMIT;
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(support::tools::root()).output();
        let output = output.map_err(|error| format!("git cannot be run: {error}"))?;
        let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() {
            Ok(told)
        } else {
            Err(format!("no figure without its commit: git {arguments:?} fails"))
        }
    };
    let changed = git(&["diff", "--name-only", built, "--", ":/", ":!docs", ":!*.md"])?;
    Ok(if changed.is_empty() { built.to_owned() } else { format!("{built} and changes") })
}

/// Writes the tables anew.
pub fn write_tables() -> Result<(), String> {
    let path = page();
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (before, after) = around(&text)?;
    fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", tables()?))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn page() -> PathBuf {
    docs().join("proofs.md")
}

/// What stands before and behind the tables.
fn around(text: &str) -> Result<(&str, &str), String> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    parts.ok_or_else(|| format!("{} lacks the lines around the tables", page().display()))
}

/// The sums and the runs, as `docs/proofs.md` has them.
fn tables() -> Result<String, String> {
    let path = figures_file();
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let runs: Vec<Value> = text
        .lines()
        .enumerate()
        .map(|(index, line)| {
            figure_of(line).ok_or_else(|| format!("{} line {} is no figure", path.display(), index + 1))
        })
        .collect::<Result<_, _>>()?;
    let sums: String = PROOFS.iter().map(|proof| sum(proof, &runs)).collect();
    let each: String = runs.iter().map(each).collect();
    Ok(format!(
        "| proof | claim | count, all runs | aim | result | time | command |\n| --- | --- | --- | --- | --- | --- | --- |\n{sums}\n\
         | date | commit | proof | seed | count | time | details |\n| --- | --- | --- | --- | --- | --- | --- |\n{each}"
    ))
}

/// A line that says which proof of ours counted what.
fn figure_of(line: &str) -> Option<Value> {
    let run: Value = serde_json::from_str(line).ok()?;
    let is_ours = PROOFS.iter().any(|proof| run["proof"] == proof.name) && run["count"].is_u64();
    is_ours.then_some(run)
}

/// One proof over all its runs.
fn sum(proof: &Proof, runs: &[Value]) -> String {
    let runs: Vec<&Value> = runs.iter().filter(|run| run["proof"] == proof.name).collect();
    let sum = |field: &str| runs.iter().filter_map(|run| run[field].as_u64()).sum::<u64>();
    let Some(last) = runs.last() else {
        return format!("| `{}` | {} | no long run yet | {} | | | |\n", proof.name, proof.claim, aim(proof.name));
    };
    let time = humantime::format_duration(Duration::from_secs(sum("seconds")));
    let (unit, none) = (word(last, "unit"), word(last, "none"));
    let count = grouped(sum("count"));
    let command = format!("`make prove-long FOR={} PROOFS={}`", time.to_string().replace(' ', ""), proof.name);
    format!(
        "| `{}` | {} | {count} {unit} | {} | 0 {none} | {time} | {command} |\n",
        proof.name,
        proof.claim,
        aim(proof.name)
    )
}

/// What is aimed at, of those that are far from it; of power cuts, half on each file system.
fn aim(proof: &str) -> &'static str {
    match proof {
        "simulation" => "250,000,000",
        "power" => "40,000",
        "kills" => "10,000",
        "fuzz" => "1,000,000,000",
        _ => "",
    }
}

/// One run.
fn each(run: &Value) -> String {
    let number = |field: &str| run[field].as_u64().unwrap_or_default();
    let time = humantime::format_duration(Duration::from_secs(number("seconds")));
    let (date, commit, proof, more) = (word(run, "date"), word(run, "commit"), word(run, "proof"), word(run, "more"));
    let count = grouped(number("count"));
    let seed = run["seed"].as_u64().map(|seed| seed.to_string()).unwrap_or_default();
    format!("| {date} | {commit} | `{proof}` | {seed} | {count} | {time} | {more} |\n")
}

fn word<'a>(run: &'a Value, field: &str) -> &'a str {
    run[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_figures_that_were_written_down_and_no_others() {
        let text = fs::read_to_string(page()).expect("the page is there");
        let (before, after) = around(&text).expect("the page has a place for the tables");
        let renewed = format!("{before}{BEGIN}{}{END}{after}", tables().expect("the figures can be read"));
        assert!(
            text == renewed,
            "docs/proofs.md is not what figures.jsonl says; write it with `target/proof/proofs table`"
        );
    }

    #[test]
    fn runs_of_one_proof_add_up() {
        let run = |count: u64| json!({ "proof": "power", "count": count, "unit": "power cuts", "none": "lost", "seconds": 60 });
        let proof = PROOFS.iter().find(|proof| proof.name == "power").expect("it is one of them");
        let line = sum(proof, &[run(1_000), json!({ "proof": "kills", "count": 5 }), run(234)]);
        assert!(
            line.contains("| 1,234 power cuts | 40,000 | 0 lost | 2m | `make prove-long FOR=2m PROOFS=power` |"),
            "{line}"
        );
    }
}
