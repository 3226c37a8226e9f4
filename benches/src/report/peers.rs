//! The table of receivers: what each costs, how fast it answers, what it takes, what it loses. One line each.
//!
//! In: the rounds of `burst` and `losses`. Out: Markdown; nothing where there are none. Never happens: a speed in another table
//! than the losses that come with it; a receiver whose rounds failed and which is left out in silence.

use serde_json::Value;

use crate::bodies::Size;
use crate::figures::{median, significant};

/// What the columns are about.
const CONNECTIONS: u64 = 64;

pub fn table(rounds: &[Value]) -> String {
    let of_row = |row: &str| -> Vec<&Value> { rounds.iter().filter(|round| round["row"] == row).collect() };
    let bursts = of_row("burst").into_iter().filter(|round| round["connections"] == CONNECTIONS).collect::<Vec<_>>();
    let losses = of_row("losses");
    let mut names: Vec<&str> = Vec::new();
    for name in bursts.iter().chain(&losses).filter_map(|round| round["receiver"].as_str()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return String::new();
    }
    // Who goes first changes; the bridge stands first.
    names.sort_by_key(|name| *name != "retell-bridge");
    let mut text = format!(
        "\n### Beside each other\n\nThe same rounds, {CONNECTIONS} connections, closed loop; medians. A peer that waits \
         answers when Kafka has confirmed, one that answers at once when its client's queue has the record.\n\n\
         | receiver | CPU µs per event: {} | mix: 2xx/s | mix: p50, p99 | most memory, mix | `kill -9`: lost of \
         acknowledged | Kafka away, 100/s: refused or unanswered; lost | and `kill -9` before Kafka comes back: lost of \
         acknowledged |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
        Size::ALL.map(Size::name).join(" · "),
    );
    for name in names {
        let own = |rounds: &[&Value]| -> Vec<Value> {
            rounds.iter().filter(|round| round["receiver"] == name).map(|round| (*round).clone()).collect()
        };
        text.push_str(&line(name, &own(&bursts), &own(&losses)));
    }
    text
}

fn line(name: &str, bursts: &[Value], losses: &[Value]) -> String {
    let of = |size: Size, field: &str| {
        let mine = bursts.iter().filter(|round| round["size"] == size.name());
        median(mine.filter_map(|round| round[field].as_f64()))
    };
    let mix = |field: &str| of(Size::Mix, field);
    let cpu = Size::ALL.map(|size| told(of(size, "cpu_us_per_event"), "")).join(" · ");
    let quantiles = format!("{}, {}", told(mix("p50_ms"), " ms"), told(mix("p99_ms"), " ms"));
    let memory = told(mix("peak_bytes") / f64::from(1 << 20), " MiB");
    let failed = bursts.iter().chain(losses).find_map(|round| round["failed"].as_str());
    let name = match failed {
        Some(story) => format!("{name} (failed in a round: {})", story.replace('|', "/").replace('\n', " ")),
        None => name.to_owned(),
    };
    let (rate, killed, away) = (told(mix("kept_per_second"), ""), killed(losses), away(losses));
    let killed_away = killed_away(losses);
    format!("| {name} | {cpu} | {rate} | {quantiles} | {memory} | {killed} | {away} | {killed_away} |\n")
}

fn told(value: f64, unit: &str) -> String {
    if value.is_finite() { format!("{}{unit}", significant(value)) } else { "–".to_owned() }
}

/// A count, which has no decimals.
fn whole(value: f64) -> String {
    if value < 1e3 { format!("{value:.0}") } else { significant(value) }
}

fn sum(rounds: &[Value], field: &str) -> f64 {
    rounds.iter().filter_map(|round| round[field].as_f64()).sum()
}

fn killed(losses: &[Value]) -> String {
    let kills: Vec<Value> = losses.iter().filter(|round| round["answered"].is_u64()).cloned().collect();
    match kills.len() {
        0 => "–".to_owned(),
        count => {
            let (lost, answered) = (sum(&kills, "lost"), sum(&kills, "answered"));
            format!("{} of {} ({count} kills)", whole(lost), whole(answered))
        }
    }
}

fn away(losses: &[Value]) -> String {
    let Some(outage) = losses.iter().find(|round| round["outage_sent"].is_u64()) else { return "–".to_owned() };
    let of = |field: &str| outage[field].as_f64().unwrap_or_default();
    let share = of("not_kept") * 100.0 / of("outage_sent").max(1.0);
    format!("{share:.0} %; {} lost", whole(of("outage_lost")))
}

/// Results from before there was such a pass have none.
fn killed_away(losses: &[Value]) -> String {
    let Some(outage) = losses.iter().find(|round| round["killed_outage_answered"].is_u64()) else {
        return "–".to_owned();
    };
    let of = |field: &str| outage[field].as_f64().unwrap_or_default();
    format!("{} of {}", whole(of("killed_outage_lost")), whole(of("killed_outage_answered")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn speed_and_losses_of_a_receiver_stand_in_one_line() {
        let burst = |receiver: &str, rate: f64| {
            json!({
                "row": "burst", "receiver": receiver, "size": "mix", "connections": 64, "cpu_us_per_event": 150.0,
                "kept_per_second": rate, "p50_ms": 1.5, "p99_ms": 9.0, "peak_bytes": 64 << 20,
            })
        };
        let rounds = [
            burst("a peer", 500.0),
            burst("retell-bridge", 1_000.0),
            burst("retell-bridge", 3_000.0),
            json!({ "row": "losses", "receiver": "a peer", "answered": 2_000, "lost": 7 }),
            json!({ "row": "losses", "receiver": "a peer", "answered": 1_000, "lost": 1 }),
            json!({
                "row": "losses", "receiver": "a peer", "outage_sent": 200, "not_kept": 94, "outage_lost": 3,
                "killed_outage_answered": 3_300, "killed_outage_lost": 3_000,
            }),
            json!({ "row": "burst", "receiver": "other", "connections": 64, "failed": "it does\nnot listen" }),
        ];
        let table = table(&rounds);
        let line = |start: &str| table.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        let bridge = "| retell-bridge | – · – · – · 150 | 2,000 | 1.50 ms, 9.00 ms | 64.0 MiB | – | – | – |";
        assert_eq!(line("| retell-bridge"), bridge);
        assert!(line("| a peer").ends_with("| 8 of 3,000 (2 kills) | 47 %; 3 lost | 3,000 of 3,300 |"), "{table}");
        assert!(line("| other (failed in a round: it does not listen)").contains("| – |"), "{table}");
        assert!(table.find("| retell-bridge") < table.find("| a peer"), "{table}");
    }

    #[test]
    fn no_rounds_give_no_table() {
        assert_eq!(super::table(&[]), "");
    }
}
