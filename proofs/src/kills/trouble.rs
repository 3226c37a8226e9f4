//! What is done to bridge and broker, and how it is done.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use support::bridge::Bridge;
use support::judge::Cut;
use support::judge::aside::marks;

use crate::random::Random;

use super::round::Scene;
use super::world::World;

/// How long the topics must not have grown before a killed bridge counts as silent.
const STANDS_STILL: Duration = Duration::from_millis(700);

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// `kill -9` of the bridge.
    Bridge,
    /// `kill -9` of the only node, and up again.
    Broker,
    /// Both at once.
    Both,
    /// The only node gets SIGSTOP, and SIGCONT.
    Pause,
    /// Connections stay open, and nothing passes.
    Silence,
    /// Every connection ends in the middle.
    Cut,
    /// `kill -9` of one node of three.
    Node,
    /// Of two: no record may be taken until one is back.
    TwoNodes,
}

/// All of them.
pub const KINDS: [Trouble; 8] = [
    Trouble::Bridge,
    Trouble::Broker,
    Trouble::Both,
    Trouble::Pause,
    Trouble::Silence,
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
            Trouble::Pause => "paused",
            Trouble::Silence => "silent",
            Trouble::Cut => "cut off",
            Trouble::Node => "one of three nodes",
            Trouble::TwoNodes => "two of three nodes",
        }
    }

    pub fn make(self, world: &mut World, scene: &mut Scene, random: &mut Random, is_short: bool) {
        let moment = Duration::from_millis(random.between(0, 1500));
        let long = Duration::from_secs(if is_short { 5 } else { random.between(5, 60) });
        match self {
            Trouble::Bridge => scene.kill_bridge(world, |_| ()),
            Trouble::Broker => world.kill_one(0, moment),
            Trouble::Both => scene.kill_bridge(world, |world| world.kill_one(0, moment)),
            Trouble::Pause => {
                world.nodes[0].pause();
                thread::sleep(long);
                world.nodes[0].resume();
            }
            Trouble::Silence => relay(world).fall_silent(long),
            Trouble::Cut => relay(world).cut(),
            Trouble::Node => world.kill_one(random.below(3) as usize, moment),
            Trouble::TwoNodes => world.kill_two(random.below(3) as usize, long),
        }
    }
}

fn relay(world: &World) -> &super::proxy::Proxy {
    world.proxy.as_ref().expect("only the world of one node is given this trouble")
}

/// Producers that the bridge has given up in all its lives, as its log says.
pub fn renewals(bridge: &Bridge) -> usize {
    bridge.log().iter().filter(|line| line.contains("new Kafka producer")).count()
}

/// What a killed bridge left on its disk, and on Kafka.
pub fn look(world: &World, bridge: &Bridge, topics: &[String]) -> Cut {
    let consumer = world.kafka().consumer();
    let ends = || -> HashMap<(String, i32), i64> {
        let partitions = topics.iter().flat_map(|topic| (0..super::round::PARTITIONS).map(move |each| (topic, each)));
        partitions.map(|(topic, each)| ((topic.clone(), each), world.kafka().ends(&consumer, topic, each).1)).collect()
    };
    // What the bridge had sent may still lie in a socket or in the broker's queue, and belongs to the life that is over.
    let (mut before, mut now) = (HashMap::new(), ends());
    while now != before {
        thread::sleep(STANDS_STILL);
        (before, now) = (now, ends());
    }
    // The log last, when its last lines have been read.
    Cut { ends: now, marks: marks(&bridge.journal_dir()), renewals: renewals(bridge) }
}
