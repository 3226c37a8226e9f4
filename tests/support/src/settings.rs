//! The bridge's settings as a test needs them: small deadlines, free ports, everything else as it comes.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::events::Source;

/// A settings file in the making. Written as JSON, which is YAML as well.
#[derive(Clone)]
pub struct Settings {
    value: Value,
}

impl Settings {
    /// One source or several, a broker, and a free port for each listener.
    pub fn new(brokers: &str, sources: &[&Arc<Source>]) -> Settings {
        let mut value = json!({
            "listen": "127.0.0.1:0",
            "admin": { "listen": "127.0.0.1:0" },
            "sources": {},
            // The tests kill processes, not machines: whatever file system the target folder lies on will do.
            "journal": { "allow_ephemeral": true, "size_max": "2GiB" },
            "kafka": { "brokers": brokers },
            "log": { "format": "json", "level": "info" },
            "shutdown": { "delay": "0s", "deadline": "20s" },
        });
        for source in sources {
            value["sources"][&source.name] =
                json!({ "path": source.path, "keys": [source.api_key], "topic_prefix": source.prefix });
        }
        if let Some(first) = sources.first() {
            value["topics"]["prefix"] = json!(first.prefix);
        }
        Settings { value }
    }

    /// Lays `more` over what is there, level by level.
    pub fn with(mut self, more: Value) -> Settings {
        merge(&mut self.value, more);
        self
    }

    pub fn write(&self, file: &Path, journal: &Path) {
        let mut value = self.value.clone();
        value["journal"]["dir"] = json!(journal);
        std::fs::write(file, format!("{value:#}\n")).expect("the test's folder can be written");
    }
}

fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (name, value) in above {
                merge(below.entry(name).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}
