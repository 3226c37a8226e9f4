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
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::Options;
use super::alter;
use super::context::{Context, Reach};
use super::settings::{self, SettingsError};

/// One request.
const REQUEST_FOR: Duration = Duration::from_secs(5);

/// Why a request was not followed.
#[derive(Debug)]
pub(super) enum Denied {
    /// It may have been followed all the same.
    NoAnswer,
    /// In Kafka's words, with the cure where the code tells one.
    Refused(String),
}

impl From<Code> for Denied {
    fn from(code: Code) -> Denied {
        match code {
            Code::OperationTimedOut | Code::RequestTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown => {
                Denied::NoAnswer
            }
            Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => Denied::Refused(format!(
                "{code}; grant Create, Alter and AlterConfigs on the topics' prefix, or hand `topics plan --format \
                 commands` to somebody who has them"
            )),
            Code::InvalidReplicationFactor => {
                Denied::Refused(format!("{code}; set topics.replication to the number of brokers at most"))
            }
            _ => Denied::Refused(code.to_string()),
        }
    }
}

impl From<KafkaError> for Denied {
    fn from(error: KafkaError) -> Denied {
        let code = match &error {
            KafkaError::AdminOp(code) => Some(*code),
            _ => error.rdkafka_error_code(),
        };
        code.map_or_else(|| Denied::Refused(error.to_string()), Denied::from)
    }
}

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
    pub fn setting(&self, topics: &[String], name: &str) -> Result<BTreeMap<String, String>, Denied> {
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
    ) -> Result<(), Denied> {
        let replication = TopicReplication::Fixed(replication.unwrap_or(-1));
        let mut new = NewTopic::new(topic, partitions, replication);
        for (name, value) in settings {
            new = new.set(name, value);
        }
        match first(wait(self.client.create_topics([&new], &options()))?) {
            // Somebody else was faster.
            Err(Code::TopicAlreadyExists) | Ok(()) => Ok(()),
            Err(code) => Err(code.into()),
        }
    }

    /// Sets one setting of a topic and leaves the others as they are.
    pub fn set(&self, topic: &str, name: &str, value: &str) -> Result<(), Denied> {
        alter::set(self.client.inner().native_ptr(), topic, name, value, REQUEST_FOR)
    }

    /// Adds partitions, up to `partitions` in all.
    pub fn add_partitions(&self, topic: &str, partitions: usize) -> Result<(), Denied> {
        let new = NewPartitions::new(topic, partitions);
        Ok(first(wait(self.client.create_partitions([&new], &options()))?)?)
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
fn wait<T>(asked: impl Future<Output = KafkaResult<T>>) -> Result<T, Denied> {
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
            Poll::Ready(answer) => return answer.map_err(Denied::from),
            Poll::Pending => std::thread::park(),
        }
    }
}
