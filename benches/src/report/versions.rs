//! Versions of what was measured with and beside.
//!
//! In: the lock file, Kafka's jars, the peers' own files. Out: one line of text. Never happens: a version from memory; what a
//! file does not say is left out.

use std::fs;

use support::tools;

/// Of Kafka, librdkafka, the Rust peer's libraries and those of the peers that are fetched.
pub fn all() -> String {
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    let mut all = vec![format!("librdkafka {librdkafka}")];
    all.extend(kafka().map(|version| format!("Apache Kafka {version}")));
    all.extend(["actix-web", "rdkafka"].into_iter().filter_map(locked));
    all.extend(fetched());
    all.join(", ")
}

/// By the name of one of its jars.
fn kafka() -> Option<String> {
    let jars = fs::read_dir(tools::root().join(".tools/kafka/jars")).ok()?;
    let names = jars.flatten().filter_map(|jar| jar.file_name().into_string().ok());
    let version = |name: String| Some(name.strip_prefix("kafka-clients-")?.strip_suffix(".jar")?.to_owned());
    names.filter_map(version).next()
}

/// `name version`, as Cargo has locked it.
fn locked(name: &str) -> Option<String> {
    let text = fs::read_to_string(tools::root().join("Cargo.lock")).ok()?;
    let behind = text.split_once(&format!("name = \"{name}\"\nversion = \""))?.1;
    Some(format!("{name} {}", behind.split('"').next()?))
}

/// What the peers in other languages name themselves.
fn fetched() -> Vec<String> {
    let read = |file: &str| fs::read_to_string(tools::root().join("benches/peers").join(file)).unwrap_or_default();
    let (python, node, go) = (read("fastapi/requirements.txt"), read("express/package.json"), read("go/go.mod"));
    let python = python.lines().map(|line| line.replace("==", " "));
    let node: serde_json::Value = serde_json::from_str(&node).unwrap_or_default();
    let node = node["dependencies"].as_object().cloned().unwrap_or_default();
    let node = node.into_iter().filter_map(|(name, version)| Some(format!("{name} {}", version.as_str()?)));
    let franz = go.lines().filter_map(|line| line.strip_prefix("require github.com/twmb/")).map(str::to_owned);
    python.chain(node).chain(franz).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_are_those_of_the_files() {
        let all = all();
        for name in ["librdkafka ", "actix-web 4.", "rdkafka 0.", "fastapi ", "express ", "franz-go v"] {
            assert!(all.contains(name), "{name} is not in {all}");
        }
    }
}
