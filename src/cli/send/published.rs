//! `send --until-published`: waits until what was sent is on Kafka, as the bridge's own metrics tell it.
//!
//! In: the admin listener of the one bridge that took the events, how many it answered 2xx. Out: that they are
//! published, or why that is not known. It asks no Kafka, so it needs no rights and no settings there.
//!
//! Published means: the count of publications has grown by as many (less those that were repeats), none was set aside
//! meanwhile, and nothing that waits is older than the last answer. Others may send at the same time.
//!
//! Never happens: a figure of before the last answer that is taken for one of after it.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Figures of a scrape may be older than this moment by half as much: the bridge brings them up to date four times a second.
const FIGURES_LAG: Duration = Duration::from_millis(500);
const ASK_EVERY: Duration = Duration::from_millis(250);
const TIMEOUT: Duration = Duration::from_secs(5);

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Until {
    /// Then wait until all of it is published, by the metrics of this admin listener, e.g. http://127.0.0.1:9464: that of
    /// the bridge behind --url, which must be one alone.
    #[arg(long, value_name = "URL")]
    until_published: Option<String>,
    /// How long to wait for that (90s, 10m).
    #[arg(long, value_name = "TIME", default_value = "60s", requires = "until_published", value_parser = humantime::parse_duration)]
    within: Duration,
}

/// What a bridge had done before the first event.
pub(super) struct Watch {
    agent: ureq::Agent,
    url: String,
    within: Duration,
    before: Figures,
}

/// Of one scrape, over all labels.
#[derive(Debug, Default, Clone, PartialEq)]
struct Figures {
    published: f64,
    dead_lettered: f64,
    duplicates: f64,
    waiting: f64,
    oldest_seconds: f64,
    kafka_up: f64,
}

impl Until {
    /// Looks once, where it is asked for; an error before anything is sent.
    pub(super) fn watch(&self) -> anyhow::Result<Option<Watch>> {
        let Some(url) = &self.until_published else { return Ok(None) };
        let url = format!("{}/metrics", url.trim_end_matches('/'));
        let agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).proxy(None).build().into();
        let mut watch = Watch { agent, url, within: self.within, before: Figures::default() };
        watch.before = watch.look()?;
        Ok(Some(watch))
    }
}

impl Watch {
    /// Waits for `answered` events, the last of which was answered just now.
    pub(super) fn wait(&self, answered: u64) -> anyhow::Result<()> {
        let since = Instant::now();
        loop {
            std::thread::sleep(ASK_EVERY);
            let elapsed = since.elapsed();
            let now = self.look()?;
            if now.dead_lettered > self.before.dead_lettered {
                bail!("an event was set aside as a dead letter, see `retell-bridge dead-letters list`");
            }
            if now.has_published(&self.before, answered, elapsed) {
                return Ok(());
            }
            if elapsed > self.within {
                bail!("{}", now.delay(self.within));
            }
        }
    }

    fn look(&self) -> anyhow::Result<Figures> {
        let ask = || format!("{} does not answer: is it the admin listener of a running bridge?", self.url);
        let text = self.agent.get(&self.url).call().with_context(ask)?.body_mut().read_to_string().with_context(ask)?;
        Figures::read(&text).with_context(|| format!("{} has no metrics of a bridge", self.url))
    }
}

impl Figures {
    /// From Prometheus' text format; `None` where the bridge's metrics are not in it.
    fn read(text: &str) -> Option<Figures> {
        let values = |name: &str| -> Vec<f64> {
            let of_name = text.lines().filter_map(|line| line.strip_prefix("retell_bridge_")?.strip_prefix(name));
            let whole = of_name.filter(|rest| rest.starts_with(['{', ' ']));
            whole.filter_map(|rest| rest.rsplit_once(' ')?.1.parse().ok()).collect()
        };
        let published = values("events_published_total");
        (!published.is_empty()).then(|| Figures {
            published: published.iter().sum(),
            dead_lettered: values("events_dead_lettered_total").iter().sum(),
            duplicates: values("events_duplicate_total").iter().sum(),
            waiting: values("journal_backlog_events").iter().sum(),
            oldest_seconds: values("journal_oldest_unpublished_seconds").into_iter().fold(0.0, f64::max),
            kafka_up: values("kafka_up").iter().sum(),
        })
    }

    fn has_published(&self, before: &Figures, answered: u64, elapsed: Duration) -> bool {
        let wanted = answered as f64 - (self.duplicates - before.duplicates);
        let since_answer = elapsed.saturating_sub(FIGURES_LAG).as_secs_f64();
        self.published - before.published >= wanted && self.oldest_seconds < since_answer
    }

    fn delay(&self, within: Duration) -> String {
        let kafka = if self.kafka_up > 0.0 { "answers" } else { "does not answer" };
        format!(
            "not published within {} s: {} waiting, Kafka {kafka}; `retell-bridge config check --online` says what is \
             wrong. Nothing is lost, they stay on the bridge's disk",
            within.as_secs(),
            self.waiting
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPE: &str = "\
# HELP retell_bridge_events_published_total Published.
retell_bridge_events_published_total{topic=\"retell.call_ended\"} 3
retell_bridge_events_published_total{topic=\"retell.unrecognized\"} 2
retell_bridge_events_duplicate_total{source=\"default\"} 1
retell_bridge_journal_backlog_events{topic=\"retell.call_ended\"} 4
retell_bridge_journal_oldest_unpublished_seconds{topic=\"retell.call_ended\"} 0.25
retell_bridge_journal_oldest_unpublished_seconds{topic=\"retell.unrecognized\"} 0
retell_bridge_kafka_up 1
";

    #[test]
    fn figures_are_summed_over_their_labels_and_the_oldest_is_the_largest() {
        let read = Figures::read(SCRAPE).unwrap();
        let wanted = Figures {
            published: 5.0,
            dead_lettered: 0.0,
            duplicates: 1.0,
            waiting: 4.0,
            oldest_seconds: 0.25,
            kafka_up: 1.0,
        };
        assert_eq!(read, wanted);
        assert_eq!(Figures::read("process_open_fds 3\n"), None);
    }

    #[test]
    fn it_is_published_when_the_count_has_grown_and_nothing_older_than_the_answer_waits() {
        let before = Figures { published: 3.0, ..Figures::default() };
        let now = Figures::read(SCRAPE).unwrap();
        let second = Duration::from_secs(1);
        assert!(now.has_published(&before, 3, second), "two publications and a repeat");
        assert!(!now.has_published(&before, 4, second), "one is missing");
        assert!(!now.has_published(&before, 3, Duration::from_millis(700)), "what waits may be older than the answer");
        assert!(!Figures::default().has_published(&Figures::default(), 0, FIGURES_LAG), "the figures may be older");
    }
}
