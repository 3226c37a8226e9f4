//! What can happen next in a scene.

use std::time::Duration;

use retell_bridge::publisher::TopicState;

use super::judge::Wrong;
use super::kafka::Fate;
use super::scene::Scene;
use crate::simulation::disk::{Call, EIO, ENOSPC, End, Fault};

const HOUR: Duration = Duration::from_secs(3_600);

impl Scene {
    /// One step by chance.
    pub(super) fn step(&mut self) -> Result<(), Wrong> {
        match self.random.below(100) {
            0..26 => self.arrive()?,
            26..36 => self.send_again()?,
            36..58 => self.wait_a_little()?,
            58..62 => self.stall()?,
            62..65 => self.leave(),
            65..82 => self.befall_kafka(),
            82..87 => self.befall_disk(),
            87..89 => self.set_clock(),
            89..93 => self.wait_long()?,
            93..94 => self.miss_a_topic_for_a_day()?,
            94..96 => self.cuts_after_an_answer = true,
            _ => self.end_in_some_way()?,
        }
        self.go_on_or_end()
    }

    /// New letters, some of them twice at once; the writer may come later.
    fn arrive(&mut self) -> Result<(), Wrong> {
        for _ in 0..self.random.pick(&[1, 1, 2, 5, 20]) {
            let letter = self.senders.write(self.world.clock.wall_ms());
            self.post(letter, false);
            if self.random.chance(15) {
                self.post(letter, false);
            }
        }
        if self.random.chance(70) { self.write() } else { self.after() }
    }

    /// A sender's retry of what was not answered, or the same letter once more.
    fn send_again(&mut self) -> Result<(), Wrong> {
        for _ in 0..self.random.between(1, 6) {
            let is_answered = self.random.chance(40);
            if let Some(letter) = self.senders.pick(is_answered) {
                let is_fresh = !is_answered && self.random.chance(30);
                self.post(letter, is_fresh);
            }
        }
        if self.random.chance(70) { self.write() } else { self.after() }
    }

    fn wait_a_little(&mut self) -> Result<(), Wrong> {
        let ms = self.random.pick(&[5, 50, 200, 700, 2_500, 12_000]);
        self.note(|_| format!("{ms} ms pass"));
        self.pass(Duration::from_millis(ms))
    }

    /// A disk that takes its time: the publisher goes on, nobody is answered.
    fn stall(&mut self) -> Result<(), Wrong> {
        let ms = self.random.pick(&[500, 3_000, 9_000]);
        self.note(|_| format!("the disk takes {ms} ms"));
        for _ in 0..10 {
            self.world.clock.pass(Duration::from_millis(ms / 10));
            if let Some(bridge) = &mut self.bridge {
                bridge.publish();
            }
            self.after()?;
        }
        Ok(())
    }

    fn wait_long(&mut self) -> Result<(), Wrong> {
        let minutes = self.random.pick(&[1, 5, 30, 120]);
        self.note(|_| format!("{minutes} minutes pass"));
        self.pass(Duration::from_secs(60) * minutes)
    }

    /// One topic is not there for a day, with events for it and for the others.
    fn miss_a_topic_for_a_day(&mut self) -> Result<(), Wrong> {
        let topic = self.some_topic();
        self.note(|_| format!("{topic} is missing for a day"));
        self.world.kafka.cluster().set_topic(&topic, TopicState::Missing, true);
        for _ in 0..8 {
            self.arrive()?;
            self.pass(3 * HOUR)?;
        }
        self.world.kafka.cluster().set_topic(&topic, TopicState::Known, true);
        self.pass(Duration::from_secs(30))
    }

    fn befall_kafka(&mut self) {
        let topic = self.some_topic();
        let what = self.random.below(16);
        let late_ms = self.random.pick(&[20, 300, 3_000]);
        let healthy = self.random.below(3);
        self.note(|_| format!("Kafka: mishap {what} (topic {topic})"));
        let mut cluster = self.world.kafka.cluster();
        let fate = |fate| std::iter::repeat_n(None, healthy as usize).chain([Some(fate)]);
        match what {
            0 => cluster.is_up = false,
            1 | 2 => cluster.is_up = true,
            3 => cluster.set_topic(&topic, TopicState::Missing, true),
            4 if healthy == 0 => cluster.set_topic(&topic, TopicState::Forbidden, true),
            4 => cluster.forbid_writes(&topic),
            5 => cluster.set_topic(&topic, TopicState::Known, false),
            6 => cluster.script.extend(fate(Fate::WrittenAndFatal)),
            7 => cluster.script.extend(fate(Fate::Fatal)),
            8 => cluster.script.extend(fate(Fate::TimedOut)),
            9 => cluster.script.extend(fate(Fate::WrittenAndTimedOut)),
            13 => cluster.script.extend(fate(Fate::Unproven)),
            14 => cluster.script.extend(fate(Fate::WrittenAndUnproven)),
            10 => cluster.room = if cluster.room < 10 { 2_000 } else { 7 },
            11 => cluster.replacing_fails ^= true,
            12 => cluster.answer_after = Duration::from_millis(late_ms),
            _ => cluster.heal(),
        }
    }

    fn befall_disk(&mut self) {
        if !self.has_faults {
            return;
        }
        if self.random.chance(50) {
            let calls = [Call::Write, Call::Sync, Call::Sync, Call::Create, Call::Rename, Call::SyncFolder, Call::Read];
            let (call, errno) = (self.random.pick(&calls), self.random.pick(&[EIO, EIO, ENOSPC]));
            let fault = Fault { call, countdown: self.random.between(1, 8), errno };
            self.note(|_| format!("{fault:?}"));
            self.world.disk.set_fault(Some(fault));
        } else {
            let bytes = self.random.pick(&[self.capacity_bytes, self.random.clone().below(self.capacity_bytes)]);
            self.note(|_| format!("the disk has {bytes} bytes"));
            self.world.disk.set_capacity_bytes(bytes);
            self.is_squeezed = bytes < self.capacity_bytes;
        }
    }

    /// A start meets trouble of its own. Not one of its looks: a list that cannot be read costs repeats that are kept a
    /// second time, by design, and the judge of repeats knows no such excuse.
    pub(super) fn befall_a_start(&mut self) {
        if !self.has_faults || !self.random.chance(30) {
            return;
        }
        let calls = [Call::Write, Call::Sync, Call::Sync, Call::Create, Call::Rename, Call::SyncFolder, Call::Remove];
        let (call, errno) = (self.random.pick(&calls), self.random.pick(&[EIO, EIO, ENOSPC]));
        let fault = Fault { call, countdown: self.random.between(1, 12), errno };
        self.note(|_| format!("{fault:?}"));
        self.world.disk.set_fault(Some(fault));
    }

    fn set_clock(&mut self) {
        let skew_ms = self.random.pick(&[0, 0, 90_000, -90_000, 7_200_000, -7_200_000, 86_400_000 * 40]);
        self.note(|_| format!("the clock is {skew_ms} ms off"));
        self.world.clock.set_skew_ms(skew_ms);
    }

    fn end_in_some_way(&mut self) -> Result<(), Wrong> {
        match self.random.below(3) {
            0 => self.stop_clean(),
            1 => {
                self.end(End::Killed);
                Ok(())
            }
            _ => {
                self.end(End::PowerCut);
                Ok(())
            }
        }
    }

    /// A poisoned bridge publishes for a little while, then it ends.
    fn go_on_or_end(&mut self) -> Result<(), Wrong> {
        if self.bridge.as_ref().is_some_and(|bridge| bridge.is_poisoned()) {
            self.note(|_| "poisoned".to_owned());
            let ms = self.random.pick(&[0, 500, 5_000]);
            self.pass(Duration::from_millis(ms))?;
            if self.bridge.is_some() {
                self.stop_clean()?;
            }
        }
        Ok(())
    }

    fn some_topic(&mut self) -> String {
        let topics = self.settings.topics.lanes();
        topics[self.random.below(topics.len() as u64) as usize].clone()
    }

    /// The power may be cut at one of the next changes, in the middle of the recovery already.
    pub(super) fn plan_cut(&mut self) {
        let now = self.world.disk.changes();
        let ahead = self.random.pick(&[20, 100, 400, 400]);
        let at = self.random.chance(50).then(|| now + self.random.between(1, ahead));
        self.note(|_| format!("the power will be cut at change {at:?}, now {now}"));
        self.world.disk.cut_at(at);
    }

    pub(super) fn heal(&mut self) {
        self.world.kafka.cluster().heal();
        self.world.clock.set_skew_ms(0);
        self.world.disk.set_fault(None);
        self.world.disk.cut_at(None);
        // Dead letters on the disk stay, and may have filled it: more room is what an operator gives.
        self.settings.journal.size_max_bytes += 4 << 20;
        self.world.disk.set_capacity_bytes(2 * self.capacity_bytes + (8 << 20));
        (self.is_squeezed, self.cuts_after_an_answer) = (false, false);
    }
}
