//! Open files: a bridge that a shell or a service manager starts with few of them serves its connections all the same.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use support::bridge::{self, Bridge};
use support::events::{Maker, Source};
use support::http::Connection;
use support::sender::Sender;
use support::settings::Settings;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

/// Soft limit that the bridge is started with; fewer than the connections that are opened.
const SOFT: usize = 64;

#[test]
fn a_soft_limit_below_the_connections_does_not_take_the_journal_its_files() {
    let source = Source::new("default", "/webhook", "descriptors.");
    let mut bridge = Bridge::prepare(Settings::new(NOWHERE, &[&source]), Arc::new(with_few_descriptors));
    bridge.start_again();
    let idle: Vec<_> = (0..2 * SOFT)
        .map(|nth| {
            Connection::open(bridge.intake_address()).unwrap_or_else(|error| panic!("connection {nth}: {error}"))
        })
        .collect();
    let mut maker = Maker::new(52);
    let id = maker.id();
    assert!(Sender::to(&bridge).send(&maker.event(&source, "call_ended", &id, false)), "an honest event beside them");
    assert_eq!(bridge.ask("/livez").expect("the admin listener answers").status, 200);
    assert_eq!(limit(&bridge, 3), limit(&bridge, 4), "soft and hard limit of open files");
    drop(idle);
    bridge.kill();
}

/// As a shell with `ulimit -Sn` does it.
fn with_few_descriptors(settings: &Path) -> Command {
    let serve = bridge::serve(settings);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!(r#"ulimit -Sn {SOFT} && exec "$0" "$@""#));
    command.arg(serve.get_program()).args(serve.get_args());
    command
}

/// One word of the line `Max open files  <soft>  <hard>  files` of the running bridge.
fn limit(bridge: &Bridge, word: usize) -> String {
    let pid = bridge.pid().expect("the bridge is running");
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("a running process has limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("open files are limited");
    line.split_whitespace().nth(word).expect("a soft and a hard limit").to_string()
}
