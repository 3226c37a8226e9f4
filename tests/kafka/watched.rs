//! A real Prometheus scrapes a real bridge, with the alerts that are shipped: one fires when Kafka is gone, and clears; one
//! names a field that the schemas do not know.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::proof::prove_plainly;
use support::bridge::Bridge;
use support::events::{Maker, Source};
use support::http;
use support::kafka::{Kafka, free_port};
use support::process::{Lines, Process, wait_until};
use support::sender::send_all;
use support::settings::Settings;
use support::tools;

/// Scrapes and judges once a second, and alerts after two: five minutes are an operator's patience, not a test's.
const CONFIG: &str = "global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [alerts.yaml]
scrape_configs: [{job_name: retell-bridge, static_configs: [{targets: [\"TARGET\"]}]}]
";
const PATIENCE: Duration = Duration::from_secs(60);

struct Prometheus {
    /// Ends with the test.
    _process: Process,
    address: SocketAddr,
}

impl Prometheus {
    fn watching(target: SocketAddr) -> Prometheus {
        let folder = tools::folder("prometheus");
        let alerts =
            fs::read_to_string(tools::root().join("helm/retell-bridge/files/alerts.yaml")).expect("it is there");
        let hasty = |line: &str| match line.split_once("for: ") {
            Some((indent, _)) if indent.trim().is_empty() => format!("{indent}for: 2s\n"),
            _ => format!("{line}\n"),
        };
        let write =
            |name: &str, text: String| fs::write(folder.join(name), text).expect("the test's folder is writable");
        write("alerts.yaml", alerts.lines().map(hasty).collect());
        write("prometheus.yml", CONFIG.replace("TARGET", &target.to_string()));
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = tools::prometheus();
        command.current_dir(&folder).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address={address}"));
        let process = Process::start(command, Arc::<Lines>::default()).expect("Prometheus can be run");
        let lines = Arc::clone(&process.lines);
        let watching = Prometheus { _process: process, address };
        let is_up = || watching.ask("/api/v1/query?query=up").filter(|up| !up["data"]["result"][0].is_null()).map(drop);
        wait_until(PATIENCE, is_up).unwrap_or_else(|| panic!("no scrape:\n{}", lines.since(0).join("\n")));
        watching
    }

    fn ask(&self, path: &str) -> Option<Value> {
        let answer = http::get(self.address, path).ok().filter(|answer| answer.status == 200)?;
        serde_json::from_slice(&answer.body).ok()
    }

    /// The scrape was taken for what it says it is. Prometheus 3, with which tests/containers.sh runs this, refuses what has
    /// a content type that it does not know, where it is not told what to take that for.
    fn assert_scrape_is_taken(&self) {
        let ask = |path: &str| self.ask(path).expect("Prometheus answers")["data"].take();
        println!("scraped by Prometheus {}", ask("/api/v1/status/buildinfo")["version"].as_str().expect("a version"));
        let target = ask("/api/v1/targets")["activeTargets"][0].take();
        assert!(target["health"] == "up" && target["lastError"] == "", "{target:#}");
        let config = ask("/api/v1/status/config")["yaml"].take();
        assert!(!config.as_str().expect("a text").contains("fallback_scrape_protocol"), "{config}");
    }

    /// Names of the alerts that fire.
    fn firing(&self) -> Vec<String> {
        let alerts = self.ask("/api/v1/alerts").expect("Prometheus answers");
        let alerts = alerts["data"]["alerts"].as_array().expect("a list of alerts").clone();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.filter_map(|alert| Some(alert["labels"]["alertname"].as_str()?.to_owned())).collect()
    }

    fn wait_for(&self, what: &str, holds: impl Fn(&[String]) -> bool) {
        let waited = wait_until(PATIENCE, || holds(&self.firing()).then_some(()));
        waited.unwrap_or_else(|| panic!("{what}; firing: {:?}", self.firing()));
    }
}

#[test]
fn the_shipped_alert_fires_when_kafka_is_gone_and_clears_when_it_is_back() {
    let mut kafka = Kafka::start();
    let source = Source::new("default", "/webhook", "watched.");
    kafka.create_all(&[&source], 1, &[]);
    // These made-up events have fields that no schema knows, and that alert stays for a day.
    let settings = Settings::new(&kafka.brokers(), &[&source]).with(json!({ "drift": { "check": "off" } }));
    let mut bridge = Bridge::start(settings);
    let prometheus = Prometheus::watching(bridge.admin_address());
    prometheus.assert_scrape_is_taken();
    prometheus.wait_for("nothing fires beside a broker", <[String]>::is_empty);
    kafka.stop();
    let story = Maker::new(51).story(&source);
    send_all(&bridge, vec![story], 1, Duration::ZERO).assert_all_kept();
    let is_told = |firing: &[String]| firing.iter().any(|name| name == "RetellBridgeKafkaDown");
    prometheus.wait_for("RetellBridgeKafkaDown fires", is_told);
    kafka.up();
    prometheus.wait_for("all alerts clear", <[String]>::is_empty);
    bridge.stop_cleanly();
}

#[test]
fn a_field_that_the_schema_does_not_know_is_counted_and_told_and_its_events_arrive_byte_for_byte() {
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "drift.");
    kafka.create_all(&[&source], 2, &[]);
    let mut bridge = Bridge::start(Settings::new(&kafka.brokers(), &[&source]));
    let prometheus = Prometheus::watching(bridge.admin_address());
    assert_eq!(bridge.metrics().get("schema_checks_total", &[r#"result="drift""#]), 0.0);
    // Of whatever type the story is, its events have a `rate`.
    let ledger = send_all(&bridge, vec![Maker::new(52).story(&source)], 1, Duration::ZERO);
    let drift = "retell_bridge_schema_drift_total";
    let rate = [r#"problem="unknown""#, r#".rate""#];
    let metrics = bridge.wait_metrics("the new field", |metrics| metrics.sum(drift, &rate).is_some());
    assert!(metrics.get("schema_checks_total", &[r#"result="drift""#]) > 0.0);
    assert_eq!(metrics.get("schema_drift_total", &[r#"field="body""#]), 0.0);
    prometheus.wait_for("RetellBridgeSchemaDrift fires", |firing| {
        !firing.is_empty() && firing.iter().all(|name| name == "RetellBridgeSchemaDrift")
    });
    assert!(bridge.log().iter().any(|line| line.contains("differs from its schema") && line.contains(".rate")));
    prove_plainly(kafka, &mut bridge, "drift.", &ledger);
}
