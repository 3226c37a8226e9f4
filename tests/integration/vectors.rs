//! The cases made by running both of Retell's SDKs, through the binary's own `verify`.

use serde_json::Value;

use support::bridge::run;
use support::sign::unhex;
use support::tools::root;

fn vectors() -> Vec<Value> {
    let file = root().join("tests/data/signature_vectors.json");
    let text = std::fs::read_to_string(file).expect("the vectors are in the repository");
    let mut all: Value = serde_json::from_str(&text).expect("the vectors are JSON");
    serde_json::from_value(all["vectors"].take()).expect("the vectors are a list")
}

#[test]
fn verify_gives_the_verdict_of_both_sdks_and_the_stricter_one_where_they_differ() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 21, "a vector was added or lost");
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap_or_else(|| panic!("{name} of {vector}")).to_string();
        let holds = vector["expected"].as_bool().unwrap_or(false);
        let signature = format!("--signature={}", text("header"));
        let now = vector["now_ms"].to_string();
        let output = run(&["verify", &signature, "--now", &now], &text("key"), &unhex(&text("body_utf8_hex")));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(if holds { 0 } else { 1 }), "{}: {said}", text("id"));
        assert_eq!(said.is_empty(), holds, "{}: the reason is on stderr, and only then: {said}", text("id"));
    }
}
