//! Asks for metadata on a thread of its own, so that a broker that is away never holds the publisher up.
//!
//! In: topics to ask for. Out: the answer to each, and whether a broker answers at all. Once, at the first answer, the
//! topics' limits are compared with the settings. Never happens: a topic made by asking for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::error::{KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer as _};

use super::context::{Context, Reach};
use super::current::Current;
use super::settings::{self, SettingsError};
use super::{Options, topics};
use crate::publisher::TopicState;

/// One question.
const ASK_FOR: Duration = Duration::from_millis(1_500);
/// Where nothing is asked, whether a broker answers is seen this often, and this often where none does.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LOOK_AGAIN_EVERY: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Prober {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    asked: VecDeque<String>,
    answers: BTreeMap<String, TopicState>,
    is_over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prober {
    pub fn start(current: &Current, reach: &Arc<Reach>, topics: Vec<String>) -> Result<Prober, SettingsError> {
        let (made_of, options) = current.get();
        let client = make(&options, reach)?;
        let shared = Arc::new(Shared::default());
        let (current, reach) = (current.clone(), Arc::clone(reach));
        let rounds = Rounds { client, made_of, shared: Arc::clone(&shared), current, reach, topics };
        let run = move || rounds.run();
        let thread = std::thread::Builder::new().name("kafka-prober".into()).spawn(run).map_err(|error| {
            SettingsError { path: "kafka".into(), problem: format!("a thread cannot be started: {error}") }
        })?;
        Ok(Prober { shared, thread: Some(thread) })
    }

    pub fn ask(&self, topic: &str) {
        let mut state = self.shared.lock();
        state.answers.remove(topic);
        if !state.asked.iter().any(|asked| asked == topic) {
            state.asked.push_back(topic.to_owned());
        }
        self.shared.changed.notify_one();
    }

    pub fn state(&self, topic: &str) -> TopicState {
        self.shared.lock().answers.get(topic).copied().unwrap_or(TopicState::Unknown)
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has been told by the thread itself.
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Rounds {
    /// Produces nothing; a producer because that is the client that serves its own log lines when it is polled.
    client: BaseProducer<Context>,
    /// The number of the options that `client` was made of.
    made_of: u64,
    shared: Arc<Shared>,
    current: Current,
    reach: Arc<Reach>,
    topics: Vec<String>,
}

impl Rounds {
    fn run(mut self) {
        let mut limits_checked = false;
        while let Some(asked) = self.next() {
            self.refresh();
            let topic = asked.clone().or_else(|| self.topics.first().cloned()).unwrap_or_default();
            let metadata = self.client.client().fetch_metadata(Some(&topic), ASK_FOR);
            self.client.poll(Duration::ZERO);
            self.reach.set(metadata.is_ok());
            if metadata.is_err() {
                // The publisher asks again; nobody answers the others now.
                self.shared.lock().asked.clear();
            }
            let answer = answer(&topic, &metadata);
            if asked.is_some() && answer != TopicState::Unknown {
                self.keep(topic, answer);
            }
            if metadata.is_ok() && !limits_checked && self.shared.lock().asked.is_empty() {
                limits_checked = true;
                self.compare_limits();
            }
        }
    }

    /// A new client where the credentials have changed.
    fn refresh(&mut self) {
        let (number, options) = self.current.get();
        if number == self.made_of {
            return;
        }
        self.made_of = number;
        match make(&options, &self.reach) {
            Ok(client) => self.client = client,
            // The publisher's producer is made of the same, and tells more.
            Err(error) => tracing::error!(%error, "Kafka settings do not hold any more"),
        }
    }

    /// On a thread that nobody waits for: some brokers never answer this.
    fn compare_limits(&self) {
        let ((_, options), topics) = (self.current.get(), self.topics.clone());
        let run = move || topics::warn_of_limits(&options, &topics);
        // Where no thread can be had the comparison is left out; it is advice.
        let _ = std::thread::Builder::new().name("kafka-limits".into()).spawn(run);
    }

    /// The next topic to ask for; `Some(None)`: just see whether a broker answers; `None`: it is over.
    fn next(&self) -> Option<Option<String>> {
        let pause = if self.reach.is_up() { LOOK_EVERY } else { LOOK_AGAIN_EVERY };
        let idle = |state: &mut State| state.asked.is_empty() && !state.is_over;
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), pause, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_over { None } else { Some(state.asked.pop_front()) }
    }

    /// Keeps an answer, unless the topic was asked for again meanwhile.
    fn keep(&self, topic: String, answer: TopicState) {
        let mut state = self.shared.lock();
        if !state.asked.contains(&topic) {
            state.answers.insert(topic, answer);
        }
    }
}

fn make(options: &Options, reach: &Arc<Reach>) -> Result<BaseProducer<Context>, SettingsError> {
    let config = settings::client(options)?;
    settings::build(&config, Context::new(reach, settings::secrets(&config)))
}

fn answer(topic: &str, metadata: &KafkaResult<Metadata>) -> TopicState {
    let Ok(metadata) = metadata else { return TopicState::Unknown };
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return TopicState::Unknown };
    match found.error().map(Code::from) {
        None if found.partitions().is_empty() => TopicState::Unknown,
        None => TopicState::Known,
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::InvalidTopic) => TopicState::Missing,
        Some(Code::TopicAuthorizationFailed) => TopicState::Forbidden,
        Some(_) => TopicState::Unknown,
    }
}
