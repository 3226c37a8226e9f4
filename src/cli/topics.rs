//! `retell-bridge topics plan | apply`: the topics that the settings name, held against those that Kafka has.
//!
//! `plan` only looks. `apply` makes what is missing and raises record limits; it never adds partitions unless it is told
//! that keys may change theirs, and never lowers or removes anything.

use std::process::ExitCode;

use super::settings::Settings;
use super::{later, output};
use crate::config::Config;
use crate::kafka::record_bytes_max;
use crate::kafka::topics::{Lookup, MAX_MESSAGE_BYTES, TopicAdmin, Wanted};

/// Say which topics are missing or too small for the largest body, or make and raise them.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say what `apply` would do; changes nothing.
    #[command(after_help = "Example:\n  retell-bridge topics plan --config config.yaml")]
    Plan {
        #[command(flatten)]
        settings: Settings,
        /// For other tools. Not in this release.
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
    },
    /// Make the topics that are missing and raise record limits that are too small.
    #[command(after_help = "Example:\n  retell-bridge topics apply --config config.yaml")]
    Apply {
        #[command(flatten)]
        settings: Settings,
        /// Add partitions as well where a topic has fewer than `topics.partitions`. Calls under way change their
        /// partition, and with it their order.
        #[arg(long)]
        change_key_order: bool,
    },
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Plan { format: Some(_), .. } => later::plan_format(),
        Command::Plan { settings, .. } => plan(&settings.load_without_keys()?.config),
        Command::Apply { settings, change_key_order } => {
            apply(&settings.load_without_keys()?.config, *change_key_order)
        }
    }
}

/// What is to be done about one topic.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Make,
    Raise {
        from: u64,
    },
    AddPartitions {
        from: usize,
    },
    Nothing,
    /// Its settings may not be read.
    LimitUnknown,
    Forbidden,
}

/// What the settings want of every topic.
struct Need {
    record_bytes: u64,
    partitions: usize,
}

impl Need {
    fn of(config: &Config) -> Need {
        let partitions = usize::try_from(config.topics_apply.partitions).unwrap_or_default();
        Need { record_bytes: record_bytes_max(config.intake.body_max_bytes), partitions }
    }

    /// The steps for a topic, none only where nothing is known to be wrong.
    fn steps(&self, lookup: &Lookup) -> Vec<Step> {
        let found = match lookup {
            Lookup::Missing => return vec![Step::Make],
            Lookup::Forbidden => return vec![Step::Forbidden],
            Lookup::Found(found) => found,
        };
        let mut steps = Vec::new();
        match found.max_message_bytes {
            Some(from) if from < self.record_bytes => steps.push(Step::Raise { from }),
            Some(_) => {}
            None => steps.push(Step::LimitUnknown),
        }
        if found.partitions < self.partitions {
            steps.push(Step::AddPartitions { from: found.partitions });
        }
        if steps.is_empty() {
            steps.push(Step::Nothing);
        }
        steps
    }

    /// One line about a step.
    fn told(&self, topic: &str, step: &Step) -> String {
        let (word, more) = match step {
            Step::Make => ("missing", format!("`apply` makes it with {} partitions", self.partitions)),
            Step::Raise { from } => {
                ("too small", format!("{MAX_MESSAGE_BYTES} is {from}; intake.body_max needs {}", self.record_bytes))
            }
            Step::AddPartitions { from } => {
                ("narrow", format!("{from} partitions of {}; only --change-key-order adds them", self.partitions))
            }
            Step::Nothing => ("fine", String::new()),
            Step::LimitUnknown => {
                ("unknown", format!("{MAX_MESSAGE_BYTES} may not be read; grant DescribeConfigs to check it"))
            }
            Step::Forbidden => ("forbidden", "this user may not see it; grant Write on the prefix".to_owned()),
        };
        format!("{word:<10} {topic:<32} {more}").trim_end().to_owned()
    }
}

fn plan(config: &Config) -> anyhow::Result<ExitCode> {
    let (_, topics) = look(config)?;
    let need = Need::of(config);
    let mut to_do = 0;
    for (topic, lookup) in &topics {
        for step in need.steps(lookup) {
            to_do += usize::from(matches!(step, Step::Make | Step::Raise { .. }));
            output::line(need.told(topic, &step))?;
        }
    }
    let close = if to_do == 0 { "nothing to do".to_owned() } else { format!("{to_do} for `topics apply`") };
    output::line(format_args!("{} topics, {close}", topics.len()))?;
    Ok(ExitCode::SUCCESS)
}

fn apply(config: &Config, change_key_order: bool) -> anyhow::Result<ExitCode> {
    let (admin, topics) = look(config)?;
    let need = Need::of(config);
    let mut failed = false;
    for (topic, lookup) in &topics {
        for step in need.steps(lookup) {
            let outcome = match (&step, lookup) {
                (Step::Make, _) => make(&admin, config, &need, topic),
                (Step::Raise { .. }, Lookup::Found(found)) => {
                    let raised = admin.raise_limit(topic, found, need.record_bytes);
                    raised.map(|()| format!("raised     {topic:<32} {MAX_MESSAGE_BYTES} is {}", need.record_bytes))
                }
                (Step::AddPartitions { .. }, _) if change_key_order => {
                    let widened = admin.add_partitions(topic, need.partitions);
                    widened.map(|()| format!("widened    {topic:<32} {} partitions", need.partitions))
                }
                _ => Ok(need.told(topic, &step)),
            };
            match outcome {
                Ok(line) => output::line(line)?,
                Err(error) => {
                    failed = true;
                    output::complain(&format_args!("{topic}: {error}"));
                }
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn make(
    admin: &TopicAdmin,
    config: &Config,
    need: &Need,
    topic: &str,
) -> Result<String, crate::kafka::topics::AdminError> {
    let limit = need.record_bytes.to_string();
    let given = &config.topics_apply.config;
    let mut settings: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if !given.contains_key(MAX_MESSAGE_BYTES) {
        settings.push((MAX_MESSAGE_BYTES, &limit));
    }
    let (partitions, replication) = (config.topics_apply.partitions, config.topics_apply.replication);
    admin.make(&Wanted { name: topic, partitions, replication, settings })?;
    Ok(format!("made       {topic:<32} {partitions} partitions"))
}

fn look(config: &Config) -> anyhow::Result<(TopicAdmin, Vec<(String, Lookup)>)> {
    let names = config.topic_names();
    let admin = TopicAdmin::new(&config.kafka)?;
    let lookups = admin.look(&names, &config.kafka.brokers)?;
    Ok((admin, names.into_iter().zip(lookups).collect()))
}
