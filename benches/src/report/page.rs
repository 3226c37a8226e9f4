//! `docs/performance/README.md`: one table for each run, goals in their order.

use super::Results;
use crate::figures::{Figure, Goal};
use crate::rows::GOALS;

/// The page, with the plots that were drawn.
pub fn text(runs: &[Results], plots: &[(&str, &str)]) -> String {
    let mut page = String::from(
        "# Performance\n\n\
         Written by `make bench` and `make bench-long` (`benches/`); the rounds behind each figure stand beside this page. \
         Every ratio is one within a round, in which the bridge and what stands beside it were measured in turns; the table \
         has the median of the rounds, and the least and the most. After each round every topic was read to its end: a run \
         that lost, changed or repeated something is no run and not here.\n",
    );
    for run in runs {
        page.push_str(&section(run));
    }
    for (file, what) in plots {
        page.push_str(&format!("\n![{what}]({file})\n"));
    }
    page
}

fn section(run: &Results) -> String {
    let machine = &run.machine;
    let counted = |holds: bool| {
        let with_goal = run.figures.iter().filter(|figure| figure.goal != Goal::Told || figure.decided.is_some());
        with_goal.filter(|figure| figure.holds() == holds).count()
    };
    let mut text = format!(
        "\n## `{}`, {}\n\n{} × {}, {} GiB, Linux {}, {}; commit {}; load average before the run {:.2}. \
         {} goals hold, {} fall short.\n\n\
         | what | goal | case | measured | beside it | ratio | verdict |\n| --- | --- | --- | --- | --- | --- | --- |\n",
        run.command,
        machine.date,
        machine.cores,
        machine.processor,
        machine.memory_gib,
        machine.kernel,
        machine.disk,
        machine.commit,
        machine.load_before,
        counted(true),
        counted(false),
    );
    for (name, what, goal) in GOALS {
        let figures: Vec<&Figure> = run.figures.iter().filter(|figure| figure.goal_name == name).collect();
        if figures.is_empty() {
            text.push_str(&format!("| {what} | {goal} | not in this run | | | | |\n"));
        }
        for (at, figure) in figures.into_iter().enumerate() {
            let (what, goal) = if at == 0 { (what, goal) } else { ("", "") };
            text.push_str(&line(figure, what, goal));
        }
    }
    text
}

fn line(figure: &Figure, what: &str, goal: &str) -> String {
    let note = if figure.note.is_empty() { String::new() } else { format!("; {}", figure.note) };
    format!(
        "| {what} | {goal} | {} | {} | {} | {} | {}{note} |\n",
        figure.case,
        figure.measured,
        figure.beside,
        figure.ratio_text(),
        figure.verdict(),
    )
}
