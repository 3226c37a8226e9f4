//! Apache Kafka as a round needs it: one node behind a relay, or three nodes that need two in sync.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use support::kafka::Kafka;

use super::proxy::Proxy;

/// See the module.
pub struct World {
    /// The first one is asked and read.
    pub nodes: Vec<Kafka>,
    /// Before the only node; the three have none.
    pub proxy: Option<Proxy>,
}

impl World {
    pub fn of_one() -> World {
        let proxy = Proxy::start();
        let mut node = Kafka::prepare_behind(proxy.port);
        proxy.lead_to(node.listens_on());
        node.up();
        World { nodes: vec![node], proxy: Some(proxy) }
    }

    pub fn of_three() -> World {
        World { nodes: Kafka::start_three(), proxy: None }
    }

    pub fn kafka(&self) -> &Kafka {
        &self.nodes[0]
    }

    /// For each partition of `topics` the bytes of its copies, node by node.
    pub fn log_bytes(&self, topics: &[String]) -> Vec<Vec<u64>> {
        let copies =
            |(topic, each): (&String, i32)| self.nodes.iter().map(|node| node.log_bytes(topic, each)).collect();
        partitions(topics).map(copies).collect()
    }

    /// Where the client began to count anew, by partition; of the copies the one that shows most.
    pub fn renumbered(&self, topics: &[String]) -> HashMap<(String, i32), Vec<i64>> {
        let begins = |(topic, each): (&String, i32)| {
            let copies = self.nodes.iter().map(|node| node.renumbered(topic, each));
            ((topic.clone(), each), copies.max_by_key(Vec::len).unwrap_or_default())
        };
        partitions(topics).map(begins).filter(|(_, begins)| !begins.is_empty()).collect()
    }

    /// Ends the nodes and leaves their logs and data in `folder`.
    pub fn leave(&mut self, folder: &Path) {
        self.nodes.iter_mut().for_each(|node| node.leave(folder));
    }

    /// `kill -9` of one node, and up again after a while.
    pub fn kill_one(&mut self, index: usize, away: Duration) {
        self.nodes[index].kill();
        std::thread::sleep(away);
        self.nodes[index].up();
    }

    /// `kill -9` of two nodes, one after the other: the third alone may take nothing. Both have to be started before either
    /// answers.
    pub fn kill_two(&mut self, spared: usize, between: Duration, meanwhile: impl FnOnce()) {
        let others: Vec<usize> = (0..self.nodes.len()).filter(|index| *index != spared).collect();
        for index in &others {
            self.nodes[*index].kill();
            std::thread::sleep(between);
        }
        meanwhile();
        others.iter().for_each(|index| self.nodes[*index].launch());
        others.iter().for_each(|index| self.nodes[*index].wait_up());
    }
}

/// Each of each topic.
pub fn partitions(topics: &[String]) -> impl Iterator<Item = (&String, i32)> {
    topics.iter().flat_map(|topic| (0..super::round::PARTITIONS).map(move |each| (topic, each)))
}
