//! The source holds together, and says what it must.

use super::*;

fn each_schema(value: &Value, path: &str, look: &mut impl FnMut(&str, &Value)) {
    look(path, value);
    for (name, below) in value["properties"].as_object().into_iter().flatten() {
        each_schema(below, &format!("{path}.{name}"), look);
    }
    if let Some(items) = value.get("items") {
        each_schema(items, &format!("{path}[]"), look);
    }
    for (name, part) in value["$defs"].as_object().into_iter().flatten() {
        each_schema(part, &format!("{path}#{name}"), look);
    }
}

#[test]
fn every_type_has_a_schema_and_every_schema_a_type() {
    let source = source();
    let names: Vec<_> = source["types"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, KINDS.map(Kind::name));
    assert!(document(Kind::Other).is_none());
}

#[test]
fn every_part_is_used_and_every_reference_leads_somewhere() {
    let source = source();
    let mut used: Vec<String> = Vec::new();
    collect(&source, &mut used);
    let parts: Vec<_> = source["$defs"].as_object().unwrap().keys().collect();
    assert!(used.iter().all(|name| parts.contains(&name)), "{used:?}");
    assert!(parts.iter().all(|name| used.contains(name)), "{parts:?}");
}

#[test]
fn every_field_has_a_description_and_none_is_closed() {
    for kind in KINDS {
        each_schema(&document(kind).unwrap(), kind.name(), &mut |path, schema| {
            // The items of a list, and what refers to a part, may leave it to the list or the part.
            let is_told = schema["description"].as_str().is_some_and(|text| text.ends_with('.'));
            assert!(is_told || path.ends_with("[]"), "{path} has no description");
            assert_ne!(schema.get("additionalProperties"), Some(&Value::Bool(false)), "{path} is closed");
            assert!(schema.get("enum").is_none(), "{path}: a new value is no mistake, write `examples`");
        });
    }
}

/// Names that are sensitive wherever they stand; `scrubbed_` ones are what Retell has taken it out of.
const SENSITIVE: [&str; 24] = [
    "transcript",
    "transcript_object",
    "transcript_with_tool_calls",
    "pre_session_transcript_with_tool_calls",
    "post_session_transcript_with_tool_calls",
    "message_with_tool_calls",
    "pre_session_message_with_tool_calls",
    "post_session_message_with_tool_calls",
    "recording_url",
    "recording_multi_channel_url",
    "public_log_url",
    "knowledge_base_retrieved_contents_url",
    "from_number",
    "to_number",
    "transfer_destination",
    "call_analysis",
    "chat_analysis",
    "metadata",
    "retell_llm_dynamic_variables",
    "collected_dynamic_variables",
    "custom_sip_headers",
    "custom_attributes",
    "access_token",
    "call_summary",
];

#[test]
fn what_is_sensitive_is_marked_as_personal_data() {
    for kind in KINDS {
        let document = document(kind).unwrap();
        each_schema(&document, kind.name(), &mut |path, schema| {
            let name = path.rsplit(['.', '#']).next().unwrap();
            // Below a mark, and inside an entry of a transcript, the mark stands above.
            let below_a_mark = ["call_analysis.", "#utterance", "#message"].iter().any(|mark| path.contains(mark));
            let marked = schema["x-personal-data"] == true
                || schema["$ref"]
                    .as_str()
                    .is_some_and(|part| document["$defs"][part.trim_start_matches(PART)]["x-personal-data"] == true);
            if SENSITIVE.contains(&name) && !below_a_mark {
                assert!(marked, "{path} is not marked");
            }
        });
    }
}

#[test]
fn every_document_is_as_small_as_a_consumer_can_read() {
    for kind in KINDS {
        let bytes = document(kind).unwrap().to_string().len();
        assert!(bytes < 32 * 1024, "{}: {bytes} B", kind.name());
    }
}
