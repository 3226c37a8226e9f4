//! The `chat` object at each moment of a chat.

use serde_json::{Value, json};

use super::Talk;

const MESSAGES: [(&str, &str); 6] = [
    ("agent", "Hi! This is the virtual receptionist. How can I help?"),
    ("user", "hello, can I move my appointment to friday? \u{1f642}"),
    ("agent", "Of course. Friday at 14:15 is free. Shall I book it?"),
    ("user", "yes please"),
    ("agent", "Done. You will get a confirmation by e-mail."),
    ("user", "thanks!"),
];

/// `chat_started`.
pub(super) fn started(talk: &Talk) -> Value {
    json!({
        "chat_id": talk.chat_id(),
        "agent_id": agent_id(talk),
        "chat_type": "api_chat",
        "chat_status": "ongoing",
        "metadata": {"made_up_by": "retell-bridge"},
        "retell_llm_dynamic_variables": {},
        "start_timestamp": talk.start_ms,
    })
}

/// `chat_ended`: with all messages.
pub(super) fn ended(talk: &Talk) -> Value {
    let mut dice = talk.dice();
    let mut chat = started(talk);
    let step_ms = talk.length_ms() / MESSAGES.len() as u64;
    let messages = (0u64..).zip(MESSAGES).map(|(number, (role, content))| {
        let at_ms = talk.start_ms + number * step_ms;
        json!({"message_id": format!("message_{}", dice.hex()), "role": role, "content": content, "created_timestamp": at_ms})
    });
    chat["message_with_tool_calls"] = messages.collect();
    let lines = MESSAGES.map(|(role, content)| format!("{role}: {content}\n"));
    chat["transcript"] = lines.concat().into();
    chat["chat_status"] = "ended".into();
    chat["end_timestamp"] = talk.end_ms().into();
    chat["chat_cost"] = json!({"combined_cost": 0.6, "product_costs": []});
    chat
}

/// `chat_analyzed`: the ended chat, with its analysis.
pub(super) fn analyzed(talk: &Talk) -> Value {
    let mut chat = ended(talk);
    chat["chat_analysis"] = json!({
        "chat_summary": "The user moved an appointment to Friday at 14:15.",
        "user_sentiment": "Positive",
        "chat_successful": true,
        "custom_analysis_data": {"moved": true},
    });
    chat
}

/// `chat_inbound`: who writes, before an agent answers.
pub(super) fn inbound(talk: &Talk) -> Value {
    let mut dice = talk.dice();
    json!({
        "chat_id": talk.chat_id(),
        "agent_id": agent_id(talk),
        "from_number": dice.number(),
        "to_number": dice.number(),
    })
}

fn agent_id(talk: &Talk) -> String {
    format!("agent_{}", super::Dice::new(!talk.seed).hex())
}
