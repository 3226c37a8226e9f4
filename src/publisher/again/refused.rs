//! Why records that are sent again do not go on, with what cures it.

use crate::journal::Position;

/// Why records do not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing was sent to it.
    #[error("there is no topic {0}: make it (`topics apply` makes those of the settings), or name another one")]
    Missing(String),
    /// Nothing was sent to it.
    #[error("topic {0} is forbidden to this user: grant Write on it")]
    Forbidden(String),
    /// What is on its way may have been written.
    #[error("Kafka has not answered for {0} s: check kafka.brokers and the network")]
    Silent(u64),
    /// The same, and it will not pass by itself: what it is, with its cure.
    #[error("{0}")]
    Away(String),
    /// The topic's limit is below the record, or, unless records travel alone, below one of its batch.
    #[error(
        "topic {topic} does not take a record of this size: raise its max.message.bytes (`topics apply` does, for those of the settings)"
    )]
    TooLarge { topic: String, position: Position },
    /// What is on its way may have been written. No topic is to blame: the client gives up all of them.
    #[error("the Kafka client gave up ({0}): run it again; if it stays, the brokers' log says why")]
    Ended(&'static str),
    /// It may have been written.
    #[error("topic {topic} refuses the record: {reason}")]
    Delivery { topic: String, reason: &'static str },
}

impl Refused {
    /// Kafka cannot be reached: no record would fare better now.
    pub fn is_away(&self) -> bool {
        matches!(self, Refused::Silent(_) | Refused::Away(_))
    }

    /// Others may go on without the record that is meant, once it is found.
    pub fn is_passed_over(&self) -> bool {
        matches!(self, Refused::TooLarge { .. } | Refused::Ended(_))
    }

    /// Of two failures, the one to tell.
    pub(super) fn says_more_than(&self, other: &Refused) -> bool {
        let rank = |refused: &Refused| match refused {
            Refused::TooLarge { .. } => 2,
            Refused::Ended(_) => 0,
            _ => 1,
        };
        rank(self) > rank(other)
    }
}
