//! `retell-bridge topics plan | apply`: the topics that the settings name, held against those that Kafka has.
//!
//! `plan` only looks. `apply` makes what is missing and raises record limits, one after the other, so that one refusal
//! stops nothing else; it adds partitions only where it is told that keys may change theirs.

mod formats;

use std::process::ExitCode;

use super::settings::Settings;
use super::{Usage, output};
use crate::config::Config;
use crate::kafka::topics::{self, Shape, Step, TopicPlan, TopicsError};

/// Say which topics are missing or too small for the largest body, or make and raise them.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  retell-bridge topics plan --config config.yaml")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// How a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Strimzi,
    Commands,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say what `apply` would do; changes nothing.
    #[command(after_help = "\
Examples:
  retell-bridge topics plan --config config.yaml
  retell-bridge topics plan --format commands | sh
  retell-bridge topics plan --format strimzi --cluster my-kafka > topics.yaml")]
    Plan {
        #[command(flatten)]
        settings: Settings,
        /// For people; resources for Strimzi's topic operator, of every topic and without asking Kafka; or commands of
        /// Kafka's own scripts for what is missing.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// Name of the Kafka resource that Strimzi's resources belong to.
        #[arg(long, value_name = "NAME", required_if_eq("format", "strimzi"), value_parser = formats::parse_cluster)]
        cluster: Option<String>,
        /// One line of JSON for each topic that lacks something.
        #[arg(long, conflicts_with_all = ["format", "cluster"])]
        json: bool,
    },
    /// Make the topics that are missing and raise record limits that are too small.
    #[command(after_help = "Example:\n  retell-bridge topics apply --config config.yaml")]
    Apply {
        #[command(flatten)]
        settings: Settings,
        /// Add partitions as well where a topic has fewer than `topics.partitions`. The same call then goes to another
        /// partition, and its events change their order.
        #[arg(long)]
        change_key_order: bool,
        /// One line of JSON for each topic that lacked something.
        #[arg(long)]
        json: bool,
    },
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Plan { settings, format, cluster, json } => {
            let config = settings.load_without_keys()?.config;
            match (format, cluster) {
                (Format::Strimzi, cluster) => strimzi(&config, cluster.as_deref().unwrap_or_default()),
                (_, Some(_)) => Err(Usage("--cluster goes with --format strimzi alone; leave it out".into()).into()),
                (Format::Text, None) => plan(&config, *json),
                (Format::Commands, None) => commands(&config),
            }
        }
        Command::Apply { settings, change_key_order, json } => {
            apply(&settings.load_without_keys()?.config, *change_key_order, *json)
        }
    }
}

fn strimzi(config: &Config, cluster: &str) -> anyhow::Result<ExitCode> {
    let (names, needs_bytes) = (config.topics.lanes(), config.kafka.record_max_bytes());
    output::text(&formats::strimzi(&names, &config.topics_shape, needs_bytes, cluster))?;
    Ok(ExitCode::SUCCESS)
}

fn commands(config: &Config) -> anyhow::Result<ExitCode> {
    let plans = topics::plan(&config.kafka, &config.topics.lanes(), &config.topics_shape)?;
    output::text(&formats::commands(&plans, &config.kafka.brokers))?;
    Ok(ExitCode::SUCCESS)
}

fn plan(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let names = config.topics.lanes();
    let plans = topics::plan(&config.kafka, &names, &config.topics_shape)?;
    for plan in &plans {
        if json { output::line(formats::json(plan, None))? } else { output::line(lacking(plan))? }
    }
    if json {
        return Ok(ExitCode::SUCCESS);
    }
    let to_do = plans.iter().filter(|plan| plan.step.is_applied()).count();
    let close =
        if to_do == 0 { "nothing for `topics apply`".to_owned() } else { format!("{to_do} for `topics apply`") };
    output::line(format_args!("{} topics: {close}", names.len()))?;
    Ok(ExitCode::SUCCESS)
}

fn apply(config: &Config, change_key_order: bool, json: bool) -> anyhow::Result<ExitCode> {
    let names = config.topics.lanes();
    let shape = Shape { change_key_order, ..config.topics_shape.clone() };
    let mut failed = 0;
    let plans = topics::plan(&config.kafka, &names, &shape)?;
    for plan in &plans {
        let applied = plan.step.is_applied().then(|| topics::apply(&config.kafka, plan));
        // The others would wait as long.
        if let Some(Err(error @ TopicsError::Silent { .. })) = applied {
            return Err(error.into());
        }
        failed += usize::from(matches!(applied, Some(Err(_))));
        match applied {
            applied if json => output::line(formats::json(plan, applied.as_ref()))?,
            None => output::line(lacking(plan))?,
            Some(Ok(())) => output::line(done(plan))?,
            Some(Err(error)) => output::complain(&error),
        }
    }
    if json {
        return Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let applied = plans.iter().filter(|plan| plan.step.is_applied()).count() - failed;
    output::line(format_args!("{} topics: {applied} done, {failed} failed", names.len()))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line about what a topic lacks.
fn lacking(plan: &TopicPlan) -> String {
    let (word, more) = match &plan.step {
        Step::Create { partitions, .. } => ("missing", format!("`apply` makes it with {partitions} partitions")),
        Step::RaiseLimit { from_bytes, to_bytes } => {
            ("too small", format!("max.message.bytes is {from_bytes}, intake.body_max needs {to_bytes}"))
        }
        Step::AddPartitions { from, to, allowed: true } => ("narrow", format!("{from} partitions, `apply` makes {to}")),
        Step::AddPartitions { from, to, allowed: false } => {
            ("narrow", format!("{from} partitions, not {to}; left so, unless with --change-key-order"))
        }
        Step::LimitUnknown { needs_bytes } => {
            ("unknown", format!("needs max.message.bytes {needs_bytes}; grant DescribeConfigs to check it"))
        }
        Step::Forbidden => ("forbidden", "this user may not see it; grant Write on the topics' prefix".to_owned()),
    };
    line(word, &plan.topic, &more)
}

/// One line about what was done.
fn done(plan: &TopicPlan) -> String {
    match &plan.step {
        Step::Create { partitions, .. } => line("made", &plan.topic, &format!("{partitions} partitions")),
        Step::RaiseLimit { to_bytes, .. } => line("raised", &plan.topic, &format!("max.message.bytes is {to_bytes}")),
        Step::AddPartitions { to, .. } => line("widened", &plan.topic, &format!("{to} partitions")),
        Step::LimitUnknown { .. } | Step::Forbidden => lacking(plan),
    }
}

fn line(word: &str, topic: &str, more: &str) -> String {
    format!("{word:<10} {topic:<28} {more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_one_line_with_the_topic_and_what_follows() {
        let limit = Step::RaiseLimit { from_bytes: 1_048_588, to_bytes: 8_404_992 };
        let narrow = |allowed| Step::AddPartitions { from: 3, to: 6, allowed };
        for (step, line) in [
            (
                limit,
                "too small  retell.call_ended            max.message.bytes is 1048588, intake.body_max needs 8404992",
            ),
            (
                narrow(false),
                "narrow     retell.call_ended            3 partitions, not 6; left so, unless with --change-key-order",
            ),
            (narrow(true), "narrow     retell.call_ended            3 partitions, `apply` makes 6"),
            (
                Step::LimitUnknown { needs_bytes: 1 },
                "unknown    retell.call_ended            needs max.message.bytes 1; grant DescribeConfigs to check it",
            ),
        ] {
            let told = lacking(&TopicPlan { topic: "retell.call_ended".into(), step });
            assert_eq!(told, line);
            assert!(told.len() <= 100, "{told}");
        }
    }
}
