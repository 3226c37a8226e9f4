//! What `dead-letters retry` did with one letter, in words and as JSON. Pure.

use serde_json::{Value, json};

use crate::letters::{Kept, StaysError, short};

/// See the module.
pub enum Outcome<'a> {
    /// Of a dry run, to this topic where it is another than its own.
    WouldSend(Option<&'a str>),
    /// Confirmed on these topics; it has left the folder.
    Sent(Vec<String>),
    Stays(StaysError),
}

impl Outcome<'_> {
    /// A line for people; one that stays is a complaint instead.
    pub fn row(&self, kept: &Kept) -> String {
        let id = short(&kept.name);
        match self {
            Outcome::WouldSend(topic) => format!("would send  {id}  {}", topic.or(own(kept)).unwrap_or(BY_TYPE)),
            Outcome::Sent(topics) => format!("sent    {id}  {}", topics.join(", ")),
            Outcome::Stays(error) => format!("{id} stays: {error}"),
        }
    }

    /// One line; names and meanings are stable.
    pub fn json(&self, kept: &Kept) -> Value {
        let (state, topics, reason) = match self {
            Outcome::WouldSend(topic) => {
                ("would_send", topic.or(own(kept)).map(str::to_owned).into_iter().collect(), None)
            }
            Outcome::Sent(topics) => ("sent", topics.clone(), None),
            Outcome::Stays(StaysError::NotTried) => ("not_tried", Vec::new(), None),
            Outcome::Stays(error) => ("stays", Vec::new(), Some(error.to_string())),
        };
        json!({"id": short(&kept.name), "state": state, "topics": topics, "reason": reason})
    }
}

const BY_TYPE: &str = "the topics of its type";

fn own(kept: &Kept) -> Option<&str> {
    kept.letter.as_ref()?.topic.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publisher::Refused;

    #[test]
    fn each_outcome_is_a_line_and_an_object_with_the_same_four_fields() {
        let kept =
            Kept { name: format!("{}-00000000000000000017-9f3a01bc", "ab".repeat(16)), letter: None, is_damaged: true };
        for (outcome, row, state) in [
            (Outcome::WouldSend(Some("t")), "would send  17-9f3a01bc  t", "would_send"),
            (Outcome::Sent(vec!["a".into(), "b".into()]), "sent    17-9f3a01bc  a, b", "sent"),
            (Outcome::Stays(StaysError::NotTried), "17-9f3a01bc stays: it was not tried", "not_tried"),
            (
                Outcome::Stays(StaysError::Refused(Refused::Silent(30))),
                "17-9f3a01bc stays: Kafka has not answered for 30 s: check kafka.brokers and the network",
                "stays",
            ),
        ] {
            let json = outcome.json(&kept);
            assert_eq!((outcome.row(&kept).as_str(), &json["state"]), (row, &state.into()));
            assert_eq!(json.as_object().unwrap().len(), 4);
        }
    }
}
