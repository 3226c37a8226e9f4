//! What a run leaves behind: results as JSON, the page with its table, the plots.
//!
//! In: figures and rounds, and `benches/tried.md`, which is kept by hand. Out: `results.json` (or `results-long.json`) in a
//! folder, and of all results there `README.md` and SVG files. Never happens: a figure on the page that no results file has; a
//! figure of a row that has failed since.

mod machine;
mod page;
mod parts;
mod peers;
mod plots;
mod versions;

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use machine::Machine;

use crate::figures::Figure;

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    pub machine: Machine,
    pub command: String,
    /// Rounds, seconds, connections, in words.
    #[serde(default)]
    pub how: String,
    pub figures: Vec<Figure>,
    pub rounds: Vec<Value>,
}

/// Files of results, in the order in which the page has them.
pub const FILES: [&str; 2] = ["results.json", "results-long.json"];

/// Adds a run: rows that it has run, measured or failed, replace those of an earlier one in `file`, where the machine is
/// the same; else the file begins anew. The page's head names the run of most rows, a line that is of another names its own.
pub fn add(folder: &Path, file: &str, run: Results) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = folder.join(file);
    let results = match read(&path)? {
        Some(before) if before.machine.is_like(&run.machine) => merged(before, run),
        _ => run,
    };
    let text = serde_json::to_string_pretty(&results).map_err(|error| error.to_string())?;
    fs::write(&path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
    write(folder)
}

fn merged(before: Results, run: Results) -> Results {
    let is_renewed = |row: &str| run.figures.iter().any(|one| one.row == row);
    let mut figures: Vec<Figure> = before.figures.into_iter().filter(|one| !is_renewed(&one.row)).collect();
    let is_old = |round: &Value| !is_renewed(round["row"].as_str().unwrap_or_default());
    let mut rounds: Vec<Value> = before.rounds.into_iter().filter(is_old).collect();
    let is_most = run.figures.len() >= figures.len();
    for one in figures.iter_mut().filter(|one| one.commit.is_empty()) {
        one.commit.clone_from(&before.machine.commit);
    }
    figures.extend(run.figures);
    rounds.extend(run.rounds);
    let (machine, command, how) = match is_most {
        true => (run.machine, run.command, run.how),
        false => (before.machine, before.command, before.how),
    };
    Results { machine, command, how, figures, rounds }
}

/// Writes page and plots anew from the results in `folder`.
pub fn write(folder: &Path) -> Result<(), String> {
    let mut runs = Vec::new();
    for file in FILES {
        runs.extend(read(&folder.join(file))?);
    }
    if runs.is_empty() {
        return Err(format!("{} has no results: run `make bench` first", folder.display()));
    }
    let plots = plots::draw(folder, &runs)?;
    let path = folder.join("README.md");
    let tried = fs::read_to_string(support::tools::root().join("benches/tried.md")).unwrap_or_default();
    let has_flame_graph = folder.join("flamegraph.svg").exists();
    fs::write(&path, page::text(&runs, &plots, has_flame_graph, &tried))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Result<Option<Results>, String> {
    match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Goal;

    fn run(row: &str, mut figure: Figure) -> Results {
        figure.row = row.to_owned();
        let rounds = vec![serde_json::json!({ "row": row })];
        let (machine, command, how) = (Machine::default(), "bench run".to_owned(), String::new());
        Results { machine, command, how, figures: vec![figure], rounds }
    }

    fn figure(case: &str, value: f64) -> Figure {
        Figure::ratio("burst", case, Goal::AtLeast(2.0), "answers/s", &[(value, 1.0)], "a peer")
    }

    #[test]
    fn a_run_replaces_its_own_rows_and_the_page_has_all() {
        let folder = support::tools::folder("report");
        for (case, value) in [("a case", 1.0), ("another case", 5.0), ("a case", 3.0)] {
            add(&folder, FILES[0], run(case, figure(case, value))).unwrap();
        }
        let page = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(
            page.contains("| a case | 3.00 answers/s |") && page.contains("| another case | 5.00 answers/s |"),
            "{page}"
        );
        assert!(!page.contains("1.00 answers/s | "), "{page}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_line_of_another_commit_than_the_page_says_so() {
        let folder = support::tools::folder("report");
        let of = |commit: &str, row: &str, values: &[f64]| {
            let machine = Machine { commit: commit.to_owned(), ..Machine::default() };
            let mut results = Results { machine, ..run(row, figure("a case", 1.0)) };
            results.figures = values.iter().map(|value| figure(&format!("case {value}"), *value)).collect();
            results.figures.iter_mut().for_each(|one| (one.row, one.commit) = (row.to_owned(), commit.to_owned()));
            results
        };
        add(&folder, FILES[0], of("old", "many", &[1.0, 2.0, 3.0])).unwrap();
        add(&folder, FILES[0], of("new", "few", &[7.0])).unwrap();
        let page = fs::read_to_string(folder.join("README.md")).unwrap();
        let lines = |what: &str| page.lines().filter(|line| line.contains(what)).count();
        assert_eq!((lines("; commit old; load"), lines("; commit new"), lines("case 7")), (1, 1, 1), "{page}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_row_that_fails_takes_its_older_figures_away_and_says_why() {
        let folder = support::tools::folder("report");
        add(&folder, FILES[0], run("a row", figure("a case", 4.0))).unwrap();
        add(&folder, FILES[0], run("a row", Figure::failed("burst", "row `a row`", "7 events were lost"))).unwrap();
        let page = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(!page.contains("4.00 answers/s"), "{page}");
        assert!(
            page.contains("| row `a row` | not measured: 7 events were lost |") && page.contains("**failed**"),
            "{page}"
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_without_results_gives_no_page() {
        let folder = support::tools::folder("report");
        assert!(write(&folder).unwrap_err().contains("make bench"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
