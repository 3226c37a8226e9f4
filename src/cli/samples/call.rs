//! The `call` object at each moment of a call.

use serde_json::{Map, Value, json};

use super::Talk;
use super::transcript::Transcript;

/// `call_started`, and what the transfer events carry.
pub(super) fn started(talk: &Talk) -> Value {
    Value::Object(base(talk, "ongoing"))
}

/// `call_ended`: all but the analysis.
pub(super) fn ended(talk: &Talk) -> Value {
    Value::Object(whole(talk))
}

/// `call_analyzed`: the ended call, with its analysis.
pub(super) fn analyzed(talk: &Talk) -> Value {
    let mut call = whole(talk);
    let analysis = json!({
        "call_summary": "The caller moved a follow-up appointment to Friday at 14:15 and asked where the entrance is. \
                         The agent booked the new time and promised a text message.",
        "in_voicemail": false,
        "user_sentiment": "Positive",
        "call_successful": true,
        "custom_analysis_data": {"appointment": "Friday 14:15", "moved": true, "reason": "work"},
    });
    call.insert("call_analysis".to_owned(), analysis);
    Value::Object(call)
}

/// `transcript_updated`: the running call with the transcript so far.
pub(super) fn updated(talk: &Talk) -> Value {
    let mut call = base(talk, "ongoing");
    add_transcript(&mut call, talk, talk.length_ms() / 2);
    Value::Object(call)
}

/// `call_inbound`: who rings, before an agent takes the call.
pub(super) fn inbound(talk: &Talk) -> Value {
    let mut dice = talk.dice();
    json!({
        "call_id": talk.call_id(),
        "agent_id": agent_id(talk),
        "agent_version": 3,
        "from_number": dice.number(),
        "to_number": dice.number(),
    })
}

fn base(talk: &Talk, status: &str) -> Map<String, Value> {
    let mut dice = talk.dice();
    let (from, to) = (dice.number(), dice.number());
    let name = dice.pick(&["Ana Sample", "Ben Sample", "Chi Sample", "Dee Sample"]);
    fields(json!({
        "call_type": "phone_call",
        "from_number": from,
        "to_number": to,
        "direction": "inbound",
        "call_id": talk.call_id(),
        "agent_id": agent_id(talk),
        "agent_version": 3,
        "agent_name": "Reception (made up)",
        "call_status": status,
        "metadata": {"made_up_by": "retell-bridge"},
        "retell_llm_dynamic_variables": {"customer_name": name},
        "start_timestamp": talk.start_ms,
        "telephony_identifier": {"twilio_call_sid": format!("CA{}{}", dice.hex(), dice.hex())},
        "data_storage_setting": "everything",
        "opt_out_sensitive_data_storage": false,
    }))
}

fn whole(talk: &Talk) -> Map<String, Value> {
    let mut call = base(talk, "ended");
    call.append(&mut fields(json!({
        "end_timestamp": talk.end_ms(),
        "duration_ms": talk.length_ms(),
        "disconnection_reason": "user_hangup",
    })));
    add_transcript(&mut call, talk, talk.length_ms());
    call.append(&mut fields(json!({
        "recording_url": format!("https://recordings.invalid/{}/recording.wav", talk.call_id()),
        "public_log_url": format!("https://recordings.invalid/{}/public_log.txt", talk.call_id()),
        "latency": {
            "e2e": {"p50": 812.5, "p90": 1_120.0, "p99": 1_490.75, "max": 1_510.0, "min": 601.0, "num": 14},
            "llm": {"p50": 402.0, "p90": 610.0, "p99": 788.5, "max": 801.0, "min": 288.0, "num": 14},
        },
        "call_cost": {"combined_cost": 7.25, "total_duration_seconds": talk.length_ms() / 1_000, "product_costs": []},
    })));
    call
}

fn add_transcript(call: &mut Map<String, Value>, talk: &Talk, until_ms: u64) {
    let Transcript { text, turns, turns_with_tools } = Transcript::of(talk, until_ms);
    call.insert("transcript".to_owned(), text.into());
    call.insert("transcript_object".to_owned(), turns.into());
    call.insert("transcript_with_tool_calls".to_owned(), turns_with_tools.into());
}

fn agent_id(talk: &Talk) -> String {
    format!("agent_{}", super::Dice::new(!talk.seed).hex())
}

/// The fields of an object written with `json!`.
fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
