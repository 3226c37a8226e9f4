//! Plots as SVG: answers per second and processor time beside the peers, quantiles of the answers beside the disk's.
//!
//! In: the rounds of all runs; a row that several have is the last one's, for rounds of two runs make no figure. Out: the
//! files that were drawn. Never happens: a plot of no data.

use std::path::Path;

use plotters::prelude::*;
use serde_json::Value;

use super::Results;
use crate::bodies::Size;
use crate::figures::{median, significant};

type Drawn = Vec<(&'static str, &'static str)>;

/// Groups of bars: (group, bars).
type Groups = Vec<(String, Vec<(String, f64)>)>;

/// Draws what there is.
pub fn draw(folder: &Path, runs: &[Results]) -> Result<Drawn, String> {
    let last = |row: &str| -> Vec<&Value> {
        let of = |run: &'_ Results| run.rounds.iter().any(|round| round["row"] == row);
        let run = runs.iter().rev().find(|run| of(run));
        run.into_iter().flat_map(|run| &run.rounds).filter(|round| round["row"] == row).collect()
    };
    let (bursts, answers) = (last("burst"), last("answer"));
    let mut drawn = Vec::new();
    for (file, what, groups) in [
        ("cpu.svg", "Processor time for each event, µs, 64 connections", of_burst(&bursts, "cpu_us_per_event")),
        ("burst.svg", "Answers per second in a burst, 64 connections", of_burst(&bursts, "kept_per_second")),
        ("answer.svg", "Answers at 500 events/s, ms, beside one fdatasync", of_answer(&answers)),
    ] {
        if !groups.is_empty() {
            bars(&folder.join(file), what, &groups).map_err(|error| format!("{file}: {error}"))?;
            drawn.push((file, what));
        }
    }
    Ok(drawn)
}

/// By size, then by receiver.
fn of_burst(rounds: &[&Value], field: &str) -> Groups {
    let mine: Vec<&&Value> = rounds.iter().filter(|round| round["connections"] == 64).collect();
    let mut receivers: Vec<&str> = Vec::new();
    for name in mine.iter().filter_map(|round| round["receiver"].as_str()) {
        if !receivers.contains(&name) {
            receivers.push(name);
        }
    }
    let of = |size: Size, receiver: &str| {
        let is_one = |round: &&&&Value| round["size"] == size.name() && round["receiver"] == receiver;
        median(mine.iter().filter(is_one).filter_map(|round| round[field].as_f64()))
    };
    let group = |size: Size| {
        let bars = receivers.iter().map(|receiver| ((*receiver).to_owned(), of(size, receiver)));
        (size.name().to_owned(), bars.filter(|(_, value)| value.is_finite()).collect::<Vec<_>>())
    };
    Size::ALL.into_iter().map(group).filter(|(_, bars)| !bars.is_empty()).collect()
}

/// p50 and p99 of each kind of slice.
fn of_answer(rounds: &[&Value]) -> Groups {
    let kinds = [("one fdatasync", "fdatasync"), ("quiet", "quiet"), ("Kafka away", "away"), ("draining", "draining")];
    let group = |(at, name): (usize, &str)| {
        let of =
            |field: &str| median(rounds.iter().filter_map(|round| round[format!("{field}_p50_p99_ms")][at].as_f64()));
        (name.to_owned(), kinds.map(|(what, field)| (what.to_owned(), of(field))).to_vec())
    };
    if rounds.is_empty() { Vec::new() } else { [(0, "p50"), (1, "p99")].map(group).to_vec() }
}

/// One bar below the other, with its value behind it: groups of different sizes stay readable.
fn bars(path: &Path, title: &str, groups: &Groups) -> Result<(), Box<dyn std::error::Error>> {
    const LINE: i32 = 22;
    const LABEL: i32 = 260;
    const WIDTH: i32 = 900;
    let lines: i32 = groups.iter().map(|(_, bars)| bars.len() as i32 + 2).sum();
    let root = SVGBackend::new(path, (WIDTH as u32, (lines * LINE + 50) as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let (black, bold) = (("sans-serif", 14).into_font().color(&BLACK), ("sans-serif", 16).into_font().color(&BLACK));
    root.draw(&Text::new(title.to_owned(), (10, 10), bold.clone()))?;
    let mut y = 40;
    for (group, bars) in groups {
        root.draw(&Text::new(group.clone(), (10, y), bold.clone()))?;
        y += LINE;
        let most = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
        for (name, value) in bars {
            let length = (value / most * f64::from(WIDTH - LABEL - 90)) as i32;
            let color = if ["retell-bridge", "quiet"].contains(&name.as_str()) {
                RGBColor(31, 119, 180)
            } else {
                RGBColor(170, 170, 170)
            };
            root.draw(&Text::new(name.clone(), (20, y), black.clone()))?;
            root.draw(&Rectangle::new([(LABEL, y), (LABEL + length.max(1), y + LINE - 6)], color.filled()))?;
            root.draw(&Text::new(significant(*value), (LABEL + length + 8, y), black.clone()))?;
            y += LINE;
        }
        y += LINE;
    }
    root.present()?;
    Ok(())
}
