//! The kinds of trouble, and a case of each from a number.

use std::fmt;
use std::time::Duration;

use super::volume::Kind;
use crate::random::Random;
use crate::syscalls::stage::Program;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Somebody else fills the disk.
    Others { kind: Kind, program: Program },
    /// Kafka is away until the backlog has filled the disk.
    Backlog { kind: Kind },
    /// Kafka is away until the backlog has filled `journal.size_max`.
    SizeMax,
    /// The disk holds its first syncs up for so long, each.
    Slow { delay: Duration },
    /// Somebody else fills a disk whose every sync is held up.
    FullAndSlow { delay: Duration },
    /// A sync is held up and fails, while Kafka is there or away.
    Failing { delay: Duration, nth: u64, has_kafka: bool },
}

/// How many kinds there are.
pub const KINDS: u64 = 10;

impl Trouble {
    /// Case `number`: its kind is the remainder by [`KINDS`]; the first of each kind are those of a commit.
    pub fn of(number: u64) -> Trouble {
        let round = number / KINDS;
        let mut random = Random::new(number);
        // 0.2 to 30 s, short ones more often.
        let ms = if round == 0 { 1_500 } else { (200.0 * 150f64.powf(random.below(1_001) as f64 / 1_000.0)) as u64 };
        let delay = Duration::from_millis(ms);
        match number % KINDS {
            0 => Trouble::Others { kind: Kind::Ext4, program: SMALL },
            1 => Trouble::Others { kind: Kind::Tmpfs, program: SMALL },
            2 => Trouble::Others { kind: Kind::Ext4, program: Program::Binary },
            3 => Trouble::Backlog { kind: Kind::Ext4 },
            4 => Trouble::Backlog { kind: Kind::Tmpfs },
            5 => Trouble::SizeMax,
            6 => Trouble::Slow { delay },
            // One that outlasts the bridge's own deadline.
            7 => Trouble::Slow { delay: delay.max(Duration::from_secs(12)) },
            8 => Trouble::FullAndSlow { delay: delay.min(Duration::from_secs(3)) },
            _ => Trouble::Failing { delay, nth: 1 + random.below(3), has_kafka: round > 0 && random.chance(50) },
        }
    }
}

/// Segments that a few dozen events fill.
pub const SMALL: Program = Program::Small { segment_bytes: 256 << 10, size_max_bytes: 1 << 30 };

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Others { kind, program } => write!(formatter, "{kind:?} full of other files ({program:?})"),
            Trouble::Backlog { kind } => write!(formatter, "{kind:?} full of the bridge's own backlog"),
            Trouble::SizeMax => write!(formatter, "journal.size_max reached"),
            Trouble::Slow { delay } => write!(formatter, "syncs that take {delay:?}"),
            Trouble::FullAndSlow { delay } => write!(formatter, "full, and syncs that take {delay:?}"),
            Trouble::Failing { delay, nth, has_kafka } => {
                let kafka = if *has_kafka { "there" } else { "away" };
                write!(formatter, "sync number {nth} fails after {delay:?}, Kafka {kafka}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_always_the_same_trouble_and_delays_stay_within_their_bounds() {
        for number in 0..5_000 {
            assert_eq!(Trouble::of(number), Trouble::of(number));
            if let Trouble::Slow { delay } = Trouble::of(number) {
                assert!((200..=30_000).contains(&delay.as_millis()), "{delay:?}");
            }
        }
    }
}
