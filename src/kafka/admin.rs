//! Admin requests, blocking, with short time-outs.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll, Wake};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewPartitions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::error::KafkaResult;
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::Options;
use super::alter;
use super::context::{Context, Reach};
use super::settings::{self, SettingsError};

/// One request.
const REQUEST_FOR: Duration = Duration::from_secs(5);

/// A client that asks and administers.
pub(super) struct Admin {
    client: AdminClient<Context>,
}

impl Admin {
    pub fn new(options: &Options, reach: &Arc<Reach>) -> Result<Admin, SettingsError> {
        let config = settings::client(options)?;
        let client = settings::build(&config, Context::new(reach, settings::secrets(&config)))?;
        Ok(Admin { client })
    }

    /// A topic's metadata.
    pub fn metadata(&self, topic: &str, timeout: Duration) -> KafkaResult<Metadata> {
        self.client.inner().fetch_metadata(Some(topic), timeout)
    }

    /// The value of one setting of each topic, in one request. A topic is not in the answer where the right to read it
    /// is not there (Kafka then answers with nothing at all).
    pub fn setting(&self, topics: &[String], name: &str) -> Result<BTreeMap<String, String>, String> {
        let resources: Vec<ResourceSpecifier<'_>> =
            topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let answer = wait(self.client.describe_configs(&resources, &options()))?;
        let value = |found: ConfigResource| match &found.specifier {
            OwnedResourceSpecifier::Topic(topic) => Some((topic.clone(), found.get(name)?.value.clone()?)),
            _ => None,
        };
        Ok(answer.into_iter().flatten().filter_map(value).collect())
    }

    /// Makes a topic. `None` of partitions or replication: the broker's own.
    pub fn create(
        &self,
        topic: &str,
        partitions: i32,
        replication: Option<i32>,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let replication = TopicReplication::Fixed(replication.unwrap_or(-1));
        let mut new = NewTopic::new(topic, partitions, replication);
        for (name, value) in settings {
            new = new.set(name, value);
        }
        match first(wait(self.client.create_topics([&new], &options()))?) {
            // Somebody else was faster.
            Err(Code::TopicAlreadyExists) | Ok(()) => Ok(()),
            Err(code) => Err(code.to_string()),
        }
    }

    /// Sets one setting of a topic and leaves the others as they are.
    pub fn set(&self, topic: &str, name: &str, value: &str) -> Result<(), String> {
        alter::set(self.client.inner().native_ptr(), topic, name, value, REQUEST_FOR)
    }

    /// Adds partitions, up to `partitions` in all.
    pub fn add_partitions(&self, topic: &str, partitions: usize) -> Result<(), String> {
        let new = NewPartitions::new(topic, partitions);
        first(wait(self.client.create_partitions([&new], &options()))?).map_err(|code| code.to_string())
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_FOR)).operation_timeout(Some(REQUEST_FOR))
}

fn first<T>(results: Vec<Result<T, (String, Code)>>) -> Result<(), Code> {
    match results.into_iter().next() {
        Some(Err((_, code))) => Err(code),
        Some(Ok(_)) => Ok(()),
        None => Err(Code::Unknown),
    }
}

/// Waits for an answer on this thread.
fn wait<T>(asked: impl Future<Output = KafkaResult<T>>) -> Result<T, String> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = task::Context::from_waker(&waker);
    let mut asked = pin!(asked);
    loop {
        match asked.as_mut().poll(&mut context) {
            Poll::Ready(answer) => return answer.map_err(|error| error.to_string()),
            Poll::Pending => std::thread::park(),
        }
    }
}
