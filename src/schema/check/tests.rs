//! What the check finds, and what it passes over.

use super::*;
use crate::event::Kind;
use crate::schema::document;

fn found(body: &[u8]) -> Vec<(Problem, String)> {
    let shape = Shape::of(&document(Kind::CallEnded).unwrap());
    check(body, &shape).into_iter().map(|finding| (finding.problem, finding.field)).collect()
}

/// In a `call_ended` with these fields in its `call`.
fn in_call(fields: &str) -> Vec<(Problem, String)> {
    found(format!(r#"{{"event":"call_ended","call":{{"call_id":"c"{fields}}}}}"#).as_bytes())
}

fn unknown(field: &str) -> (Problem, String) {
    (Problem::Unknown, field.to_owned())
}

fn mismatch(field: &str) -> (Problem, String) {
    (Problem::Mismatch, field.to_owned())
}

#[test]
fn what_the_schema_knows_is_no_finding() {
    for fields in [
        "",
        r#","duration_ms":7,"agent_tag":null,"call_cost":{"combined_cost":1,"product_costs":[]}"#,
        r#","start_timestamp":1714608475945.0,"latency":{"e2e":{"p50":0.5,"values":[1,2.5]}}"#,
        r#","transcript_object":[{"role":"new_role","content":"x","words":[{"word":"x","start":0}]}]"#,
    ] {
        assert_eq!(in_call(fields), [], "{fields}");
    }
}

#[test]
fn a_field_that_the_schema_does_not_have_is_told_by_its_path_once() {
    assert_eq!(in_call(r#","brand_new":{"below":{}}"#), [unknown("call.brand_new")]);
    let twice = r#","transcript_object":[{"role":"a","mood":1},{"role":"b","mood":2,"words":[{"loud":true}]}]"#;
    assert_eq!(in_call(twice), [unknown("call.transcript_object.mood"), unknown("call.transcript_object.words.loud")]);
    assert_eq!(found(br#"{"event":"call_ended","call":{"call_id":"c"},"sent_at":1}"#), [unknown("sent_at")]);
}

#[test]
fn another_type_is_told_by_the_place_and_what_is_below_is_not_looked_into() {
    for (fields, places) in [
        (r#","duration_ms":"7""#, &["call.duration_ms"][..]),
        (r#","duration_ms":7.5,"transcript":null"#, &["call.duration_ms", "call.transcript"]),
        (r#","latency":[{"x":1}]"#, &["call.latency"]),
        (r#","transcript_object":{"x":1}"#, &["call.transcript_object"]),
        (r#","transcript_object":["x",1,{"role":true}]"#, &["call.transcript_object", "call.transcript_object.role"]),
    ] {
        let places: Vec<_> = places.iter().map(|place| mismatch(place)).collect();
        assert_eq!(in_call(fields), places, "{fields}");
    }
    assert_eq!(found(b"[]"), [mismatch(BODY)]);
}

#[test]
fn what_is_free_in_form_is_not_looked_into() {
    let fields = r#","metadata":{"a":{"b":1}},"retell_llm_dynamic_variables":{"name":"x","n":1},
        "collected_dynamic_variables":{"x":"y"},"custom_sip_headers":{"X-A":"b"},
        "call_analysis":{"custom_analysis_data":{"anything":[1]}}"#;
    assert_eq!(in_call(fields), []);
    assert_eq!(in_call(r#","metadata":7"#), []);
}

#[test]
fn a_name_that_is_not_plain_is_not_shown() {
    let long = "x".repeat(NAME_MAX_BYTES + 1);
    for name in ["+12135550123", "12135550123", "n12135550123", "ana@example.com", "Ana Sample", "", "é", long.as_str()]
    {
        assert_eq!(in_call(&format!(r#","{name}":1"#)), [unknown(OTHER)], "{name}");
    }
    for name in ["e2e_p50", "v2", "camelCase", "scrubbed_post_session_transcript_with_tool_calls_2"] {
        assert!(plain(name), "{name}");
    }
}

#[test]
fn a_body_that_is_no_json_is_one_finding_beside_those_before_it() {
    assert_eq!(in_call(r#","new":1,"transcript":"x"#), [unknown("call.new"), mismatch(BODY)]);
    for body in ["", "{", r#"{"event":"call_ended"} more"#, "\u{feff}{}"] {
        assert!(found(body.as_bytes()).contains(&mismatch(BODY)), "{body}");
    }
    assert_eq!(found(b"{\"event\":\"call_ended\",\"call\":{\"transcript\":\"\xff\"}}"), [mismatch(BODY)]);
}

#[test]
fn nesting_without_end_is_a_finding_wherever_it_stands_and_exhausts_no_stack() {
    for begin in [
        r#"{"call":{"metadata":"#,
        r#"{"call":{"new":"#,
        r#"{"call":{"transcript_object":"#,
        r#"{"call":{"latency":"#,
        "",
    ] {
        for each in ["[", r#"{"a":"#] {
            let body = format!("{begin}{}", each.repeat(200_000));
            assert!(found(body.as_bytes()).contains(&mismatch(BODY)), "{begin}{each}");
        }
    }
}

#[test]
fn a_body_full_of_new_names_has_few_findings() {
    let fields: String = (0..50_000).map(|number| format!(r#","n{}_{}":1"#, number / 100, number % 100)).collect();
    let findings = in_call(&fields);
    assert!(findings.len() <= FINDINGS_MAX && findings.contains(&unknown(OTHER)), "{}", findings.len());
}
