//! What `config check --online` asks Kafka, and what other commands ask when they get no answer. Blocking, bounded in time.
//!
//! In: [`Options`]. Out: facts; judging them is the command's. Never happens: a record, a topic or a group made by asking; a
//! password in an answer.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer as _};

use super::context::{Context, Reach};
use super::settings;
use super::{Options, Trouble, TroubleKind};

/// How long the client may take to tell what stood in the way.
const TELL_WITHIN: Duration = Duration::from_millis(200);
/// How long Kafka may take to answer again whoever got no answer.
const ASK_AGAIN_FOR: Duration = Duration::from_secs(2);

/// Connects and logs in, within `timeout`: how many brokers there are, or what stood in the way.
pub fn reach(options: &Options, topic: &str, timeout: Duration) -> Result<usize, Trouble> {
    let reach = Arc::new(Reach::new());
    let other = |text: String| Trouble { kind: TroubleKind::Network, text };
    let config = settings::client(options).map_err(|error| other(error.to_string()))?;
    // A producer because that is the client that serves its own errors when it is polled.
    let client: BaseProducer<Context> = settings::build(&config, Context::new(&reach, settings::secrets(&config)))
        .map_err(|error| other(error.to_string()))?;
    let metadata = client.client().fetch_metadata(Some(topic), timeout);
    client.poll(TELL_WITHIN);
    match metadata {
        Ok(metadata) => Ok(metadata.brokers().len()),
        Err(error) => Err(reach.trouble().unwrap_or_else(|| other(error.to_string()))),
    }
}

/// Why Kafka gave no answer but `error`, with the cure: asked once more by a client that tells.
pub(super) fn cause(options: &Options, topic: &str, error: &KafkaError) -> String {
    match reach(options, topic, ASK_AGAIN_FOR) {
        Err(trouble) => format!("{trouble}; {}", trouble.kind.cure()),
        // It has come back meanwhile.
        Ok(_) => format!("{error}; try again"),
    }
}

/// Bytes that one of the producer's batches may take.
pub fn batch_bytes(options: &Options) -> usize {
    settings::batch_bytes(options)
}
