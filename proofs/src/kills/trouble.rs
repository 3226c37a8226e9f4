//! What is done to bridge and broker, and how it is done.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use support::bridge::{Bridge, Metrics};
use support::judge::Cut;
use support::judge::aside::marks;
use support::process::wait_until;

use crate::random::Random;

use super::scene::Scene;
use super::world::{World, partitions};

/// How long the topics must not have grown before a killed bridge counts as silent.
const STANDS_STILL: Duration = Duration::from_millis(1_000);
const STANDS_STILL_TRIES: u32 = 120;
/// Until a connection that nobody ended is given up: twice librdkafka's own `socket.timeout.ms`.
const FOUND_OUT_WITHIN: Duration = Duration::from_secs(120);

/// Twice the bridge's own pause between two checkpoints, and some.
const CHECKPOINTED_WITHIN: Duration = Duration::from_millis(500);

const BACKLOG: &str = "journal_backlog_events";

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// `kill -9` of the bridge.
    Bridge,
    /// `kill -9` of the only node, and up again.
    Broker,
    /// The broker, and the bridge a moment later; the broker is back before the bridge.
    Both,
    /// The same, and the bridge is back before the broker.
    BothBridgeFirst,
    /// The only node gets SIGSTOP, and SIGCONT.
    Pause,
    /// Connections stay open, and nothing passes.
    Silence,
    /// Nothing passes on the connections of the time, then or ever, and neither side is told; new ones are good.
    Forgotten,
    /// Every connection ends in the middle.
    Cut,
    /// `kill -9` of one node of three.
    Node,
    /// Of two: no record may be taken until one is back.
    TwoNodes,
}

/// All of them.
pub const KINDS: [Trouble; 10] = [
    Trouble::Bridge,
    Trouble::Broker,
    Trouble::Both,
    Trouble::BothBridgeFirst,
    Trouble::Pause,
    Trouble::Silence,
    Trouble::Forgotten,
    Trouble::Cut,
    Trouble::Node,
    Trouble::TwoNodes,
];

impl Trouble {
    pub fn name(self) -> &'static str {
        match self {
            Trouble::Bridge => "bridge",
            Trouble::Broker => "broker",
            Trouble::Both => "both",
            Trouble::BothBridgeFirst => "both with the bridge back first",
            Trouble::Pause => "paused",
            Trouble::Silence => "silent",
            Trouble::Forgotten => "forgotten",
            Trouble::Cut => "cut off",
            Trouble::Node => "one of three nodes",
            Trouble::TwoNodes => "two of three nodes",
        }
    }

    /// A world of three nodes.
    pub fn needs_three(self) -> bool {
        matches!(self, Trouble::Node | Trouble::TwoNodes)
    }

    pub fn make(self, world: &mut World, scene: &mut Scene, random: &mut Random, is_short: bool) {
        let moment = Duration::from_millis(random.between(0, 1500));
        let long = Duration::from_secs(if is_short { 5 } else { random.between(5, 60) });
        match self {
            Trouble::Bridge => {
                scene.kill(world, |_| ());
                scene.begin(world);
            }
            Trouble::Broker => world.kill_one(0, moment),
            Trouble::Both => {
                kill_both(world, scene, moment);
                scene.begin(world);
            }
            Trouble::BothBridgeFirst => {
                // The broker comes back for the look at what the dead bridge left, and goes once more.
                kill_both(world, scene, moment);
                world.nodes[0].kill();
                scene.begin(world);
                thread::sleep(moment);
                world.nodes[0].up();
            }
            Trouble::Pause => {
                world.nodes[0].pause();
                thread::sleep(long);
                world.nodes[0].resume();
            }
            Trouble::Silence => relay(world).fall_silent(long),
            Trouble::Forgotten => {
                relay(world).forget(long);
                publishes_again(&scene.bridge);
            }
            Trouble::Cut => relay(world).cut(),
            Trouble::Node => world.kill_one(random.below(3) as usize, moment),
            Trouble::TwoNodes => {
                world.kill_two(random.below(3) as usize, moment, || starve(&scene.bridge, long));
            }
        }
    }
}

/// The broker first, so that the bridge dies with records that it has handed over and nobody has confirmed.
fn kill_both(world: &mut World, scene: &mut Scene, moment: Duration) {
    world.nodes[0].kill();
    thread::sleep(moment + CHECKPOINTED_WITHIN);
    scene.kill(world, |world| world.nodes[0].up());
}

fn relay(world: &World) -> &super::proxy::Proxy {
    world.proxy.as_ref().expect("only the world of one node is given this trouble")
}

fn published(metrics: &Metrics) -> f64 {
    metrics.get("events_published_total", &[])
}

/// Nobody tells the bridge that its connections are dead: it finds out by itself.
fn publishes_again(bridge: &Bridge) {
    let before = published(&bridge.metrics());
    let goes_on = || (published(&bridge.metrics()) > before).then_some(());
    let what = || format!("nothing is published {FOUND_OUT_WITHIN:?} after the connections were forgotten");
    wait_until(FOUND_OUT_WITHIN, goes_on).unwrap_or_else(|| panic!("{}", what()));
}

/// While two nodes of three are gone: events are kept, and none is published, as one node alone may confirm nothing.
fn starve(bridge: &Bridge, time: Duration) {
    // What was confirmed before is settled by then.
    thread::sleep(time / 2);
    let before = bridge.metrics();
    thread::sleep(time / 2);
    let after = bridge.metrics();
    let (more, waits) = (published(&after) - published(&before), |metrics: &Metrics| metrics.get(BACKLOG, &[]));
    assert!(more == 0.0, "{more} records were confirmed while two nodes of three were gone");
    let (from, to) = (waits(&before), waits(&after));
    assert!(to > from, "the backlog went from {from} to {to} while nothing could be published");
}

/// Producers that the bridge has given up in all its lives, as its log says.
pub fn renewals(bridge: &Bridge) -> usize {
    bridge.log().iter().filter(|line| line.contains("new Kafka producer")).count()
}

/// What a killed bridge left on its disk, and on Kafka.
pub fn look(world: &World, bridge: &Bridge, topics: &[String]) -> Cut {
    let ends = settled(world, topics);
    // The log last, when its last lines have been read.
    Cut { ends, marks: marks(&bridge.journal_dir()), renewals: renewals(bridge) }
}

/// The ends of all partitions, once nothing moves any more. What a dead bridge had sent may still lie in a socket or in the
/// broker's queue, or with a leader whose followers have yet to fetch it, and what was confirmed may be out of a consumer's
/// sight for a while behind a leader that has just come back.
pub fn settled(world: &World, topics: &[String]) -> HashMap<(String, i32), i64> {
    let are_equal = |copies: &Vec<u64>| copies.windows(2).all(|two| two[0] == two[1]);
    let copies = still(|| world.log_bytes(topics), |now| now.iter().all(are_equal));
    let consumer = world.kafka().consumer();
    let end = |topic: &String, each| ((topic.clone(), each), world.kafka().ends(&consumer, topic, each).1);
    let ends = still(|| partitions(topics).map(|(topic, each)| end(topic, each)).collect(), |_| true);
    assert_eq!(copies, world.log_bytes(topics), "the topics grow while nobody writes");
    ends
}

/// What is seen twice with a pause between, and holds.
fn still<T: PartialEq>(see: impl Fn() -> T, holds: impl Fn(&T) -> bool) -> T {
    let mut before = see();
    for _ in 0..STANDS_STILL_TRIES {
        thread::sleep(STANDS_STILL);
        let now = see();
        if now == before && holds(&now) {
            return now;
        }
        before = now;
    }
    panic!("the topics have not stood still in {STANDS_STILL_TRIES} looks, or copies differ for good");
}
