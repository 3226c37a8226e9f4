//! Retell's two official SDKs as oracles: what they sign is kept, what is signed here they accept, and what is refused
//! here they refuse. (Upper case apart: there the two differ, and the bridge takes the stricter.)

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use support::bridge::{Bridge, run};
use support::events::{Event, Maker, Source};
use support::sender::Sender;
use support::settings::Settings;
use support::sign::{hex, now_ms, signature};
use support::tools;

/// No broker is needed to be believed.
const NO_BROKER: &str = "127.0.0.1:1";

fn source() -> Arc<Source> {
    Source::new("default", "/webhook", "sdks.")
}

fn bridge(source: &Arc<Source>) -> Bridge {
    let settings = Settings::new(NO_BROKER, &[source]);
    Bridge::start(settings.with(json!({ "shutdown": { "deadline": "1s" } })))
}

/// Bodies that break as soon as anybody parses and prints them again.
fn awkward_bodies(label: &str) -> Vec<String> {
    let wrap = |inner: &str| format!(r#"{{"event":"call_ended","call":{{"call_id":"cidmk-{label}",{inner}}}}}"#);
    let mut bodies: Vec<String> = [
        r#""cost":0.10,"rate":1.0,"tiny":1e-7,"big":12345678901234567890"#,
        r#""name":"Andr\u00e9","path":"a\/b","tab":"\t","null":"\u0000","pair":"\ud83d\ude00""#,
        r#""text":"👋🏽 ¿Cómo está? 你好 – naïve","nbsp":" ""#,
        r#""twice":1,"twice":2,"b":1,"a":2"#,
    ]
    .iter()
    .map(|inner| wrap(inner))
    .collect();
    bodies
        .push(format!("  {{ \"event\" :\t\"call_ended\",\r\n \"call\" : {{ \"call_id\" : \"cidmk-{label}\" }} }}\n\n"));
    bodies.push(format!("\u{feff}{}", wrap(r#""bom":true"#)));
    bodies.push(format!("not JSON at all, {label}"));
    bodies.push(wrap(&format!(r#""transcript":"{}é""#, Maker::new(3).words(1 << 20))));
    bodies
}

/// Asks the Node and the Python SDK the same questions; their answers, by name.
fn ask_both(cases: &[Value]) -> [(&'static str, Vec<Value>); 2] {
    let (folder, mut node) = tools::node_sdk();
    node.arg(tools::root().join("tests/tools/sdk.mjs")).arg(folder);
    let mut python = tools::python_sdk();
    python.arg(tools::root().join("tests/tools/sdk.py"));
    [("node", ask(node, cases)), ("python", ask(python, cases))]
}

fn ask(mut command: Command, cases: &[Value]) -> Vec<Value> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    let mut stdin = child.stdin.take().expect("stdin was piped above");
    stdin.write_all(json!(cases).to_string().as_bytes()).expect("the SDK reads its questions");
    drop(stdin);
    let output = child.wait_with_output().expect("a child can be waited for");
    assert!(output.status.success(), "the SDK failed: {}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).expect("the answers are JSON");
    assert_eq!(answers.len(), cases.len(), "one answer for each question");
    answers
}

#[test]
fn what_either_sdk_signs_is_kept() {
    let source = source();
    let bridge = bridge(&source);
    let bodies = awkward_bodies("signed");
    let sign = |body: &String| json!({ "op": "sign", "key": source.api_key, "body": hex(body.as_bytes()) });
    let questions: Vec<Value> = bodies.iter().map(sign).collect();
    let mut sender = Sender::to(&bridge);
    for (sdk, headers) in ask_both(&questions) {
        for (body, header) in bodies.iter().zip(headers) {
            let event = Event::known(&source, "call_ended", None, body.as_bytes());
            let answer = sender.post(&event, header.as_str().expect("a header")).expect("an answer");
            assert_eq!(answer.status, 204, "{sdk} signed {:.80}", body);
        }
    }
}

#[test]
fn what_sign_prints_both_sdks_accept() {
    let key = source().api_key.clone();
    let verify = |body: String| {
        let output = run(&["sign"], &key, body.as_bytes());
        assert!(output.status.success(), "sign failed: {}", String::from_utf8_lossy(&output.stderr));
        let header = String::from_utf8(output.stdout).expect("a header is ASCII").trim_end().to_string();
        json!({ "op": "verify", "key": key, "body": hex(body.as_bytes()), "header": header })
    };
    let questions: Vec<Value> = awkward_bodies("verified").into_iter().map(verify).collect();
    for (sdk, verdicts) in ask_both(&questions) {
        for (question, verdict) in questions.iter().zip(verdicts) {
            assert_eq!(verdict, json!(true), "{sdk} refuses {:.200}", question.to_string());
        }
    }
}

/// Body and header that must not be believed, each with its name.
fn forgeries(source: &Source) -> Vec<(&'static str, String, String)> {
    let body = r#"{"event":"call_ended","call":{"call_id":"cidmk-forged","cost":0.10,"path":"a\/b","name":"\u00e9"}}"#;
    let now = now_ms();
    let minutes = |n: u64| Duration::from_secs(n * 60).as_millis() as u64;
    let good = signature(&source.api_key, body.as_bytes(), now);
    let digest = good.split("d=").nth(1).expect("a header has a digest").to_string();
    let signed_at = |v: u64| signature(&source.api_key, body.as_bytes(), v);
    let swapped = signature(&source.api_key, format!("{now}{body}").as_bytes(), now);
    let printed_again =
        r#"{"event":"call_ended","call":{"call_id":"cidmk-forged","cost":0.1,"path":"a/b","name":"é"}}"#;
    let same = |header: String| (body.to_string(), header);
    let cases = [
        ("another key", same(signature("key_made_up_other", body.as_bytes(), now))),
        ("printed again", (printed_again.to_string(), good.clone())),
        ("one byte more", (format!("{body} "), good.clone())),
        ("one byte less", (body[1..].to_string(), good.clone())),
        ("six minutes old", same(signed_at(now - minutes(6)))),
        ("six minutes ahead", same(signed_at(now + minutes(6)))),
        ("another clock", same(format!("v={},d={digest}", now + 1))),
        ("clock before the body", same(swapped)),
        ("no digest", same(format!("v={now}"))),
        ("empty digest", same(format!("v={now},d="))),
        ("short digest", same(format!("v={now},d={}", &digest[..62]))),
        ("long digest", same(format!("v={now},d={digest}00"))),
        ("not hexadecimal", same(format!("v={now},d={}", digest.replace(|c: char| c.is_ascii_digit(), "g")))),
        ("a third part", same(format!("{good},x=1"))),
        ("a space within", same(good.replace(',', ", "))),
        ("negative clock", same(format!("v=-{now},d={digest}"))),
        ("a clock beyond numbers", same(format!("v=99999999999999999999999,d={digest}"))),
        ("no clock", same(format!("v=,d={digest}"))),
    ];
    cases.into_iter().map(|(name, (body, header))| (name, body, header)).collect()
}

#[test]
fn what_the_bridge_refuses_both_sdks_refuse() {
    let source = source();
    let bridge = bridge(&source);
    let forgeries = forgeries(&source);
    let mut sender = Sender::to(&bridge);
    for (name, body, header) in &forgeries {
        let event = Event::known(&source, "call_ended", None, body.as_bytes());
        assert_eq!(sender.post(&event, header).expect("an answer").status, 401, "at the intake: {name}");
        let output = run(&["verify", &format!("--signature={header}")], &source.api_key, body.as_bytes());
        assert_eq!(output.status.code(), Some(1), "verify: {name}");
    }
    let verify = |(_, body, header): &(&str, String, String)| json!({ "op": "verify", "key": source.api_key, "body": hex(body.as_bytes()), "header": header });
    let questions: Vec<Value> = forgeries.iter().map(verify).collect();
    for (sdk, verdicts) in ask_both(&questions) {
        for ((name, ..), verdict) in forgeries.iter().zip(verdicts) {
            assert_eq!(verdict, json!(false), "{sdk}: {name}");
        }
    }
}

#[test]
fn an_upper_case_digest_where_the_sdks_differ_is_refused() {
    let source = source();
    let bridge = bridge(&source);
    let event = Event::known(&source, "call_ended", None, "{}");
    let now = now_ms();
    let upper = signature(&source.api_key, &event.body, now).to_uppercase().replace("V=", "v=").replace("D=", "d=");
    let answer = Sender::to(&bridge).post(&event, &upper).expect("an answer");
    assert_eq!(answer.status, 401);
    let question = json!({ "op": "verify", "key": source.api_key, "body": hex(&event.body), "header": upper });
    let [node, python] = ask_both(&[question]).map(|(_, verdicts)| verdicts[0].clone());
    assert_eq!((node, python), (json!(true), json!(false)), "the SDKs no longer differ: look at this again");
}
