//! What was said: turns with word timings, long enough to fill a call, and the three forms in which Retell sends them.

use serde_json::{Value, json};

use super::Talk;

/// Lines of a made-up reception desk; the numbers of words are what makes a minute of speech about 17 kB.
const AGENT: [&str; 8] = [
    "Hi, thanks for calling the Harbour Street clinic, this is the virtual receptionist, how can I help you today?",
    "Sure, I can look that up for you. Could you tell me your date of birth, please?",
    "Thank you. I have an opening on Thursday at ten thirty, or on Friday at a quarter past two. Which one suits you?",
    "All right, let me check the calendar, one moment please.",
    "You are booked. You will get a text message with the address and what to bring along.",
    "The clinic is on the second floor, and there is parking behind the building, free for the first two hours.",
    "I understand. If the pain gets worse before then, please call the emergency line, it is open day and night.",
    "Is there anything else that I can do for you before we finish?",
];
const USER: [&str; 8] = [
    "Hello, yes, I would like to move my appointment from next week, something came up at work.",
    "It is the fourth of March, nineteen eighty seven.",
    "Friday would be better for me, in the afternoon if possible.",
    "Okay, no problem, take your time.",
    "Great, and could you remind me where exactly you are? Last time I ended up at the wrong entrance.",
    "Um, one more thing, do I need to bring the old x-ray pictures with me?",
    "That is good to know, thank you very much.",
    "No, I think that is all for now.",
];

/// Mean time of one word with the pause behind it; speech of 150 words a minute.
const WORD_MS: (u64, u64) = (220, 520);
const PAUSE_MS: (u64, u64) = (300, 1_100);

/// The three forms of one transcript.
pub(super) struct Transcript {
    pub(super) text: String,
    pub(super) turns: Vec<Value>,
    pub(super) turns_with_tools: Vec<Value>,
}

impl Transcript {
    /// The conversation of `talk` up to `until_ms` after its start.
    pub(super) fn of(talk: &Talk, until_ms: u64) -> Transcript {
        let mut dice = talk.dice();
        let mut transcript = Transcript { text: String::new(), turns: Vec::new(), turns_with_tools: Vec::new() };
        let mut at_ms = dice.between(200, 900);
        let mut number = 0;
        while at_ms < until_ms {
            let (role, name, line) = match number % 2 {
                0 => ("agent", "Agent", AGENT[number / 2 % AGENT.len()]),
                _ => ("user", "User", USER[number / 2 % USER.len()]),
            };
            let (mut content, mut words) = (String::new(), Vec::new());
            for word in line.split_inclusive(' ') {
                let end_ms = at_ms + dice.between(WORD_MS.0, WORD_MS.1);
                if end_ms > until_ms {
                    break; // Hung up in the middle of a sentence.
                }
                content.push_str(word);
                words.push(json!({"word": word, "start": seconds(at_ms), "end": seconds(end_ms)}));
                at_ms = end_ms + 10;
            }
            at_ms += dice.between(PAUSE_MS.0, PAUSE_MS.1);
            transcript.add(role, name, &content, words);
            if number % 16 == 8 {
                transcript.look_at_calendar(&dice.hex());
            }
            number += 1;
        }
        transcript
    }

    fn add(&mut self, role: &str, name: &str, content: &str, words: Vec<Value>) {
        if words.is_empty() {
            return;
        }
        self.text.push_str(&format!("{name}: {content}\n"));
        let turn = json!({"role": role, "content": content, "words": words});
        self.turns_with_tools.push(turn.clone());
        self.turns.push(turn);
    }

    fn look_at_calendar(&mut self, id: &str) {
        let id = format!("tool_call_{id}");
        self.turns_with_tools.push(json!({
            "role": "tool_call_invocation",
            "tool_call_id": id,
            "name": "check_calendar",
            "arguments": r#"{"timezone":"America/Los_Angeles","days":2,"kind":"follow_up"}"#,
        }));
        self.turns_with_tools.push(json!({
            "role": "tool_call_result",
            "tool_call_id": id,
            "successful": true,
            "content": r#"{"slots":["Thursday 10:30","Friday 14:15"],"held_for_minutes":10}"#,
        }));
    }
}

/// Seconds with milliseconds, as the word timings have them.
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}
