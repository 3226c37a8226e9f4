//! `dev` from its start to the printed record, as a user sees it.

mod scene;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use scene::{Scene, bridge};

/// The call of Retell's own documentation, unsigned.
const DOCUMENTED_BODY: &str = r#"{
  "event": "call_ended",
  "call": {
    "call_type": "phone_call",
    "from_number": "+12137771234",
    "to_number": "+12137771235",
    "direction": "inbound",
    "call_id": "Jabr9TXYYJHfvl6Syypi88rdAHYHmcq6",
    "agent_id": "oBeDLoLOeuAbiuaMFXRtDOLriTJ5tSxD",
    "call_status": "registered",
    "metadata": {},
    "retell_llm_dynamic_variables": {
      "customer_name": "John Doe"
    },
    "start_timestamp": 1714608475945,
    "end_timestamp": 1714608491736,
    "disconnection_reason": "user_hangup",
    "transcript": "...",
    "opt_out_sensitive_data_storage": false
  }
}"#;
const DOCUMENTED_ID: &str = "Jabr9TXYYJHfvl6Syypi88rdAHYHmcq6";

fn dev(tmp: &Path, flags: &[&str]) -> Command {
    let mut command = bridge(tmp);
    command.args(["dev", "--listen", "127.0.0.1:0"]).args(flags);
    command
}

/// The URL that `dev` printed.
fn url(scene: &Scene) -> String {
    let line = scene.wait_for(&["Ctrl-C", "webhook    "]);
    let url = line.split_whitespace().find(|word| word.starts_with("http://"));
    url.unwrap_or_else(|| panic!("no URL in {line}")).to_owned()
}

/// Runs a command line; what it printed.
fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}\nfailed (is curl installed? apt-get install curl):\n{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The status with which the documented call is answered.
fn documented_call(url: &str, more: &str) -> String {
    let url = url.replace("127.0.0.1", "localhost");
    let url = url.strip_prefix("http://").unwrap();
    let print = "-s -o /dev/null -w '%{http_code}'";
    shell(&format!(
        "curl {print} {more} --location '{url}' --header 'Content-Type: application/json' --data '{DOCUMENTED_BODY}'"
    ))
}

#[test]
fn on_a_terminal_the_samples_arrive_and_ctrl_c_ends_it_cleanly() {
    let tmp = tempfile::tempdir().unwrap();
    let mut scene = Scene::on_a_terminal(dev(tmp.path(), &[]));
    for topic in ["retell.call_started", "retell.call_ended", "retell.call_analyzed"] {
        let line = scene.wait_for(&["export RETELL_API_KEY=", "kcat ", "cloudflared ", &format!("{topic}  ")]);
        assert!(
            line.contains("call_") && line.contains(" KiB") | line.contains(" B") && line.contains(" ms"),
            "{line}"
        );
    }
    assert!(scene.said().contains("\x1b["), "a terminal gets colour");
    scene.interrupt();
    assert_eq!(scene.ended().code(), Some(0), "{}", scene.said());
    scene.wait_for(&["3 records arrived"]);
    let left: Vec<_> = std::fs::read_dir(tmp.path()).unwrap().collect();
    assert!(left.is_empty(), "the temporary journal is removed: {left:?}");
}

#[test]
fn the_documented_unsigned_call_is_refused_and_shown_signed_and_that_call_is_taken() {
    let tmp = tempfile::tempdir().unwrap();
    let scene = Scene::in_a_pipe(dev(tmp.path(), &["--no-samples"]));
    let url = url(&scene);
    assert_eq!(documented_call(&url, ""), "401");
    scene.wait_for(&["refused 401 (missing)", "--allow-unsigned, which"]);
    let said = scene.said();
    let from = said.find("curl -i ").unwrap_or_else(|| panic!("no signed call in\n{said}"));
    let until = from + said[from..].find("}'\n").expect("the call ends with its body") + 2;
    let answer = shell(&said[from..until]);
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    let line = scene.wait_for(&[&format!("{DOCUMENTED_ID}  ")]);
    assert!(line.contains("retell.call_ended"), "{line}");
    assert!(!scene.said().contains('\x1b'), "a pipe gets no colour");
}

#[test]
fn with_allow_unsigned_the_documented_call_is_taken_and_its_repeat_is_told() {
    let tmp = tempfile::tempdir().unwrap();
    let scene = Scene::in_a_pipe(dev(tmp.path(), &["--no-samples", "--allow-unsigned"]));
    let url = url(&scene);
    assert_eq!(documented_call(&url, ""), "204");
    scene.wait_for(&[&format!("{DOCUMENTED_ID}  ")]);
    assert_eq!(documented_call(&url, ""), "204");
    scene.wait_for(&["call_ended: same body as ", "ago, not published again"]);
    for traces in ["-H 'X-Forwarded-For: 203.0.113.7'", "-H 'Host: bridge.example.com'"] {
        assert_eq!(documented_call(&url, traces), "401", "{traces}");
    }
}

#[test]
fn a_taken_port_is_told_with_its_cure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tmp = tempfile::tempdir().unwrap();
    let mut command = bridge(tmp.path());
    command.args(["dev", "--listen", &taken.local_addr().unwrap().to_string()]);
    let mut scene = Scene::in_a_pipe(command);
    assert_eq!(scene.ended().code(), Some(1));
    scene.wait_for(&["already in use", "--port"]);
}

#[test]
fn a_kept_journal_stays_and_the_env_file_serves_send_and_goes() {
    let tmp = tempfile::tempdir().unwrap();
    let (kept, env) = (tmp.path().join("kept"), tmp.path().join("dev.env"));
    let flags = ["--no-samples", "--keep", kept.to_str().unwrap(), "--env-file", env.to_str().unwrap()];
    let mut scene = Scene::in_a_pipe(dev(tmp.path(), &flags));
    url(&scene);
    assert_eq!(std::fs::metadata(&env).unwrap().permissions().mode() & 0o777, 0o600);
    let program = env!("CARGO_BIN_EXE_retell-bridge");
    let printed = shell(&format!(
        "set -a; . '{}'; test -n \"$KAFKA_BROKERS\" && '{program}' send chat_ended --url \"$RETELL_WEBHOOK_URL\"",
        env.display()
    ));
    assert!(printed.contains("204") && printed.contains("X-Event-Id"), "{printed}");
    scene.wait_for(&["retell.chat_ended  "]);
    scene.interrupt();
    assert_eq!(scene.ended().code(), Some(0), "{}", scene.said());
    scene.wait_for(&["1 record arrived"]);
    assert!(kept.join("journal").is_dir() && !env.exists());
}
