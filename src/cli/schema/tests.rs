//! Schemas, the samples that `send` makes, and the files in `schemas/`, held to one another.
//! `UPDATE_SCHEMAS=1 cargo test --lib schema` writes the files.

use std::path::Path;
use std::time::Duration;

use clap::Parser;
use serde_json::json;

use super::*;
use crate::cli::samples::Talk;

const NOW_MS: u64 = 1_795_276_800_000;

/// The sample of a type, as `send` makes it.
fn sample(kind: Kind) -> Value {
    let talk = Talk::named("sample_0123456789abcdef", NOW_MS, Duration::from_secs(12));
    serde_json::from_slice(&talk.body(kind)).unwrap()
}

/// Holds a file below `schemas/` to `value`, or writes it.
fn hold(name: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(name);
    let text = format!("{value:#}\n");
    if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return;
    }
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    panic!("schemas/{name} is not what the code makes; run `UPDATE_SCHEMAS=1 cargo test --lib schema`");
}

/// The document with every object that has names closed to others.
fn closed(document: &Value) -> Value {
    let mut document = document.clone();
    if let Some(fields) = document.as_object_mut() {
        fields.iter_mut().filter(|(name, _)| *name != "examples").for_each(|(_, below)| *below = closed(below));
        let is_schema = fields.get("type").is_some_and(Value::is_string) && fields.contains_key("properties");
        if is_schema {
            fields.insert("additionalProperties".into(), false.into());
        }
    }
    document
}

#[test]
fn the_files_are_what_the_command_prints_and_what_send_posts() {
    for kind in schema::KINDS {
        hold(&format!("{}.json", kind.name()), &document(kind).unwrap());
        hold(&format!("samples/{}.json", kind.name()), &sample(kind));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let files = std::fs::read_dir(folder).unwrap().filter_map(|file| file.unwrap().file_name().into_string().ok());
    let files = files.filter(|name| name.ends_with(".json") && name != "source.json");
    let strangers: Vec<_> = files.filter(|name| Kind::named(name.trim_end_matches(".json")) == Kind::Other).collect();
    assert!(strangers.is_empty(), "schemas/ has files of no type: {strangers:?}");
}

#[test]
fn every_sample_holds_and_has_no_field_that_its_schema_does_not_declare() {
    for kind in schema::KINDS {
        let (document, sample) = (document(kind).unwrap(), sample(kind));
        jsonschema::draft202012::meta::validate(&document).unwrap();
        for schema in [&document, &closed(&document)] {
            let validator = jsonschema::draft202012::new(schema).unwrap();
            let errors: Vec<_> = validator.iter_errors(&sample).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", kind.name());
        }
        let findings = schema::check(sample.to_string().as_bytes(), &schema::Shape::of(&document));
        assert!(findings.is_empty(), "{}: {findings:?}", kind.name());
    }
}

#[test]
fn validator_and_drift_watch_agree_on_what_differs() {
    let document = document(Kind::CallEnded).unwrap();
    let (open, strict) = (document.clone(), closed(&document));
    let [open, strict] = [open, strict].map(|schema| jsonschema::draft202012::new(&schema).unwrap());
    let shape = schema::Shape::of(&document);
    for (place, value, is_valid) in [
        ("/call/brand_new", json!(1), true),
        ("/call/latency/e2e/p42", json!(1), true),
        ("/call/duration_ms", json!("7"), false),
        ("/call/duration_ms", json!(7.0), true),
        ("/call/transcript_object/0/words/0/start", json!(null), false),
        ("/call/transcript_object/0/mood", json!("x"), true),
        ("/call/data_storage_setting", json!(null), true),
        ("/call/metadata/anything", json!([{}]), true),
        ("/call/disconnection_reason", json!("a_new_one"), true),
    ] {
        let mut changed = sample(Kind::CallEnded);
        let (above, name) = place.rsplit_once('/').unwrap();
        changed.pointer_mut(above).unwrap()[name] = value;
        assert_eq!(open.is_valid(&changed), is_valid, "{place}");
        let findings = schema::check(changed.to_string().as_bytes(), &shape);
        assert_eq!(findings.is_empty(), strict.is_valid(&changed), "{place}: {findings:?}");
    }
}

#[test]
fn an_event_of_another_type_does_not_hold() {
    for kind in schema::KINDS {
        let validator = jsonschema::draft202012::new(&document(kind).unwrap()).unwrap();
        for other in schema::KINDS.into_iter().filter(|other| *other != kind) {
            assert!(!validator.is_valid(&sample(other)), "{} takes {}", kind.name(), other.name());
        }
    }
}

#[derive(Parser)]
struct Typed {
    #[command(flatten)]
    args: Args,
}

#[test]
fn a_type_that_nobody_knows_is_told_with_those_that_are_known() {
    let told = |word| Typed::try_parse_from(["schema", word]).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(told("call_end").contains("these are: call_started, call_ended"), "{}", told("call_end"));
    assert!(told("other").contains("no type that is known"), "{}", told("other"));
    assert_eq!(told("call_ended"), "");
    assert!(Typed::try_parse_from(["schema", "call_ended", "--all"]).is_err());
}
