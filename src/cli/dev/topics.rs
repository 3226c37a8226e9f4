//! The topics of this run: made on the embedded broker, looked up on a real Kafka, made there only when asked for.

use crate::config::Config;
use crate::kafka::topics::{self, Step, TopicsError};

/// All topics of this run.
pub(super) struct Topics {
    pub(super) there: Vec<String>,
    /// Their events wait in the journal until somebody makes them.
    pub(super) missing: Vec<String>,
}

/// Looks at a real Kafka; with `make` it makes what is missing. An unreachable one is an error: it was named, and nothing
/// would ever be printed.
pub(super) fn of_real_kafka(config: &Config, make: bool) -> Result<Topics, TopicsError> {
    let names = config.topics.lanes();
    let mut missing = Vec::new();
    for plan in topics::plan(&config.kafka, &names, &config.topics_shape)? {
        match plan.step {
            Step::Create { .. } if make => topics::apply(&config.kafka, &plan)?,
            Step::Create { .. } | Step::Forbidden => missing.push(plan.topic),
            _ => {}
        }
    }
    let there = names.into_iter().filter(|name| !missing.contains(name)).collect();
    Ok(Topics { there, missing })
}

/// What to say about those that are missing.
pub(super) fn told(missing: &[String], brokers: &str, program: &str) -> Option<String> {
    (!missing.is_empty()).then(|| {
        format!(
            "missing or forbidden on this Kafka: {}\n  their events wait in the journal; --make-topics makes them, and so does\n  \
             {program} topics apply --set kafka.brokers={brokers}\n",
            missing.join(", ")
        )
    })
}
