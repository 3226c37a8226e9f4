//! `docs/performance/README.md`: what was measured how, then for each run its table of goals, in their order, its receivers
//! beside each other, its parts; the plots; what was tried.
//!
//! In: results, names of plots, the text of what was tried. Out: Markdown. Never happens: a goal without a line; a row that
//! failed shown as if it had not run.

use super::{Results, parts, peers};
use crate::figures::Figure;
use crate::rows::GOALS;

const HEAD: &str = "# Performance\n\n\
    Written by `make bench`, `make bench-peers` and `make bench-long` (`benches/`); the rounds behind each figure stand beside this page. Every \
    ratio is one within a round, in which the bridge and what stands beside it were measured in turns; the table has the median \
    of the rounds, and the least and the most. What is a bound, on memory, losses, starts, is judged by the worst round. \
    After each round every topic was read to its end and compared with what was answered: a run that lost, changed or invented \
    something is no run, its row failed. A copy is allowed where a process was killed or Kafka was away, and nowhere else.\n\n\
    ## How durable, and how measured\n\n\
    The bridge answers 204 when the event is in its journal and fdatasync has returned: on the file system and the disk named \
    below, no cache in memory. Then it publishes with acks=all, an idempotent producer, lz4. A peer that waits answers \
    when Kafka has confirmed: acks=all, an idempotent producer, lz4, too. Kafka is one node with replication 1, but for the rows \
    that say three nodes (replication 3, `min.insync.replicas=2`), and its broker does not sync to the disk before it \
    confirms (Kafka's default): with one node a confirmed record survives the broker's death, not the machine's. So the \
    bridge's answer stands for more than that of a peer that waits. The broker runs with the serial collector and the first of \
    Java's two compilers, for all receivers alike. Broker, receiver and load generator share the \
    machine's cores and talk over loopback, without TLS. The bridge is the one that `cargo build --release` gives, with its \
    default settings and topics but for the room of its journal. Every body is signed anew, and every receiver but \
    the bare floor checks the signature. Each receiver is started anew for each round, and gets a little of the load before \
    the clock starts. CPU is user and system time of the whole process until all is on Kafka.\n";

/// The page, with the plots that were drawn, the flame graph where there is one, and what was tried.
pub fn text(runs: &[Results], plots: &[(&str, &str)], has_flame_graph: bool, tried: &str) -> String {
    let mut page = String::from(HEAD);
    for run in runs {
        page.push_str(&section(run));
        page.push_str(&peers::table(&run.rounds));
        page.push_str(&parts::table(&run.rounds));
    }
    for (file, what) in plots {
        page.push_str(&format!("\n![{what}]({file})\n"));
    }
    if has_flame_graph {
        page.push_str("\n[Flame graph](flamegraph.svg): where the bridge's processor time goes (`make flamegraph`).\n");
    }
    if !tried.trim().is_empty() {
        page.push_str(&format!("\n{}\n", tried.trim()));
    }
    page
}

fn section(run: &Results) -> String {
    let mut text = head(run);
    for (name, what, goal) in GOALS {
        let figures: Vec<&Figure> = run.figures.iter().filter(|figure| figure.goal_name == name).collect();
        if figures.is_empty() {
            text.push_str(&format!("| {what} | {goal} | not in this run | | | | |\n"));
        }
        for (at, figure) in figures.into_iter().enumerate() {
            let (what, goal) = if at == 0 { (what, goal) } else { ("", "") };
            text.push_str(&line(figure, what, goal, run));
        }
    }
    text
}

fn head(run: &Results) -> String {
    let machine = &run.machine;
    let count = |is_wanted: &dyn Fn(&Figure) -> bool| {
        run.figures.iter().filter(|figure| figure.is_judged() && is_wanted(figure)).count()
    };
    let failed = count(&|figure| figure.failure.is_some());
    format!(
        "\n## `{}`, {}\n\n{} × {}, {} GiB, Linux {}, {}; commit {}; load average before the run {:.2}.\n{}\n\n{}\n\n\
         Of the lines below {} hold, {} fall short, {failed} failed.\n\n\
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
        machine.versions,
        run.how,
        count(&|figure| figure.holds()),
        count(&|figure| !figure.holds()) - failed,
    )
}

/// One figure; with its day and its commit where they are others than the run's.
fn line(figure: &Figure, what: &str, goal: &str, run: &Results) -> String {
    let note = if figure.note.is_empty() { String::new() } else { format!("; {}", figure.note) };
    let own = |what: &str, own: &str, of_run: &str| {
        if own.is_empty() || own == of_run { String::new() } else { format!("; {what} {own}") }
    };
    let machine = &run.machine;
    let apart = own("of", &figure.date, &machine.date) + &own("commit", &figure.commit, &machine.commit);
    let measured = match &figure.failure {
        Some(story) => format!("not measured: {story}"),
        None => figure.measured.clone(),
    };
    format!(
        "| {what} | {goal} | {} | {measured} | {} | {} | {}{note}{apart} |\n",
        figure.case,
        figure.beside,
        if figure.failure.is_some() { String::new() } else { figure.ratio_text() },
        figure.verdict(),
    )
}
