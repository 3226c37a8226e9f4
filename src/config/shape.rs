//! The tree of keys, made from the JSON Schema, so that names, types and documents have one origin: the structs of
//! `given.rs`. Pure.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::given::Given;

/// What stands at a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Keys with fixed names.
    Table(BTreeMap<String, Shape>),
    /// Keys of the user's choice.
    Map(Box<Shape>),
    /// A list of texts; each is secret, or none.
    List {
        secret: bool,
    },
    Text,
    Size,
    Time,
    Number {
        max: u64,
    },
    Flag,
    /// One of these words.
    Choice(Vec<String>),
    /// A JSON object, taken as it is.
    Json,
}

/// Stands in a path for a name of the user's choice.
pub const ANY: &str = "<name>";

/// JSON Schema of the settings, without references.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Given>().to_value()
}

impl Shape {
    /// Of all settings.
    pub fn of_settings() -> Shape {
        Shape::from(&schema())
    }

    /// Every key below, with its path, in the order of the alphabet.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.walk("", &mut paths);
        paths
    }

    fn walk(&self, path: &str, paths: &mut Vec<String>) {
        let mut below = |name: &str, shape: &Shape| {
            let path = joined(path, name);
            paths.push(path.clone());
            shape.walk(&path, paths);
        };
        match self {
            Shape::Table(keys) => keys.iter().for_each(|(name, shape)| below(name, shape)),
            // A map's own key is the user's: only what stands below it is known by name.
            Shape::Map(each) if matches!(**each, Shape::Table(_)) => each.walk(&joined(path, ANY), paths),
            _ => {}
        }
    }
}

/// One key further.
pub fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl From<&Value> for Shape {
    fn from(schema: &Value) -> Shape {
        if let Some(variants) = schema["anyOf"].as_array() {
            // `all`, or a list; the word is read as a list of one.
            let list = variants.iter().find(|variant| variant["type"] == "array").unwrap_or(&variants[0]);
            return Shape::from(list);
        }
        if let Some(words) = schema["enum"].as_array() {
            return Shape::Choice(words.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        }
        let optional = schema["type"].as_array().and_then(|types| types.first());
        match optional.unwrap_or(&schema["type"]).as_str().unwrap_or_default() {
            "object" => Shape::of_object(schema),
            "array" => Shape::List { secret: schema["items"]["format"] == "secret" },
            "boolean" => Shape::Flag,
            "integer" => Shape::Number { max: schema["maximum"].as_u64().unwrap_or(u64::from(u32::MAX)) },
            _ => match schema["format"].as_str() {
                Some("size") => Shape::Size,
                Some("time") => Shape::Time,
                _ => Shape::Text,
            },
        }
    }
}

impl Shape {
    fn of_object(schema: &Value) -> Shape {
        if let Some(properties) = schema["properties"].as_object() {
            return Shape::Table(properties.iter().map(|(name, below)| (name.clone(), Shape::from(below))).collect());
        }
        match &schema["additionalProperties"] {
            each @ Value::Object(_) => Shape::Map(Box::new(Shape::from(each))),
            _ => Shape::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_key_is_there_by_its_name() {
        let paths = Shape::of_settings().paths();
        let documented = "listen tls.cert_file tls.key_file sources.<name>.path sources.<name>.keys \
            sources.<name>.keys_file sources.<name>.allow sources.<name>.signature_window sources.<name>.topic_prefix \
            sources.<name>.inbound_answer.call_inbound sources.<name>.inbound_answer.chat_inbound intake.body_max \
            intake.in_flight_max intake.connections_max intake.answer_within intake.trusted_proxies intake.health_path \
            journal.dir journal.size_max journal.retention journal.quarantine_retention journal.allow_ephemeral \
            kafka.brokers kafka.properties kafka.properties_files topics.prefix topics.types topics.all \
            topics.overrides topics.partitions topics.replication topics.config duplicates.window \
            duplicates.events_max admin.listen drift.check log.format log.level log.events shutdown.delay shutdown.deadline";
        for path in documented.split_whitespace() {
            assert!(paths.iter().any(|known| known == path), "{path} is missing in {paths:?}");
        }
        let tables = [
            "tls",
            "sources",
            "intake",
            "journal",
            "kafka",
            "topics",
            "duplicates",
            "admin",
            "drift",
            "log",
            "shutdown",
        ];
        let inner = ["sources.<name>.inbound_answer"];
        assert_eq!(paths.len(), documented.split_whitespace().count() + tables.len() + inner.len(), "{paths:?}");
    }

    #[test]
    fn the_schema_takes_what_the_bridge_takes_without_quotes() {
        let schema = schema();
        for place in ["/properties/kafka/properties/properties", "/properties/topics/properties/config"] {
            let types = schema.pointer(place).map(|each| each["additionalProperties"]["type"].to_string());
            assert_eq!(types.as_deref(), Some(r#"["string","number","boolean"]"#), "{place}");
        }
    }

    #[test]
    fn shapes_follow_the_types() {
        let Shape::Table(keys) = Shape::of_settings() else { panic!("the settings are a table") };
        let Shape::Table(topics) = &keys["topics"] else { panic!("topics is a table") };
        assert_eq!(topics["types"], Shape::List { secret: false });
        assert_eq!(topics["overrides"], Shape::Map(Box::new(Shape::Text)));
        assert_eq!(topics["partitions"], Shape::Number { max: 65_535 });
        assert_eq!(topics["all"], Shape::Text);
        let Shape::Table(log) = &keys["log"] else { panic!("log is a table") };
        assert_eq!(log["format"], Shape::Choice(vec!["auto".into(), "text".into(), "json".into()]));
        let Shape::Table(intake) = &keys["intake"] else { panic!("intake is a table") };
        assert_eq!((&intake["body_max"], &intake["answer_within"]), (&Shape::Size, &Shape::Time));
    }
}
