//! From the merged tree to the settings as given: every key known, every value of its type. Pure.
//!
//! A value that is wrong is a finding and is left out, so that one run finds all of them.

use serde_json::{Map, Value as Json};

use ::config::{Value, ValueKind};

use super::errors::{Findings, quoted};
use super::given::Given;
use super::nearest::{nearest, nearest_path};
use super::shape::{ANY, Shape, joined};
use super::units::{SIZE_FORM, Size, TIME_FORM, Time};

/// Reads the tree.
pub fn given(tree: &Value, shape: &Shape, findings: &mut Findings) -> Given {
    let mut reading = Reading { known: shape.paths(), findings };
    let json = reading.read(shape, tree, "").unwrap_or_else(|| Json::Object(Map::new()));
    match serde_json::from_value(json) {
        Ok(given) => given,
        // The reading above let something through that the structs refuse: say so, without the value.
        Err(error) => {
            findings.add_from("settings", format!("cannot be read ({:?} error)", error.classify()), "", None);
            Given::default()
        }
    }
}

struct Reading<'f> {
    known: Vec<String>,
    findings: &'f mut Findings,
}

impl Reading<'_> {
    /// The value at `path` in the form that the structs read; `None` where it is absent or wrong.
    fn read(&mut self, shape: &Shape, value: &Value, path: &str) -> Option<Json> {
        if matches!(value.kind, ValueKind::Nil) {
            return None;
        }
        if let (false, Some(origin)) = (path.is_empty(), value.origin()) {
            self.findings.origins.insert(path.to_owned(), origin.to_owned());
        }
        match (shape, &value.kind) {
            (Shape::Table(keys), ValueKind::Table(given)) => self.read_table(keys, given, path),
            (Shape::Map(each), ValueKind::Table(given)) => self.read_map(each, given, path),
            (Shape::Json, _) => self.read_json(value, path),
            (Shape::List { secret }, _) => self.read_list(*secret, value, path),
            (_, ValueKind::Table(_) | ValueKind::Array(_)) | (Shape::Table(_) | Shape::Map(_), _) => {
                self.wrong_kind(shape, value, path)
            }
            _ => self.read_leaf(shape, value, path),
        }
    }

    fn read_table(
        &mut self,
        keys: &std::collections::BTreeMap<String, Shape>,
        given: &::config::Map<String, Value>,
        path: &str,
    ) -> Option<Json> {
        let mut table = Map::new();
        for (name, value) in sorted(given) {
            match keys.get(name) {
                Some(shape) => {
                    if let Some(json) = self.read(shape, value, &joined(path, name)) {
                        table.insert(name.clone(), json);
                    }
                }
                None => self.unknown(&joined(path, name), value),
            }
        }
        Some(Json::Object(table))
    }

    fn read_map(&mut self, each: &Shape, given: &::config::Map<String, Value>, path: &str) -> Option<Json> {
        let mut map = Map::new();
        for (name, value) in sorted(given) {
            let path = joined(path, name);
            let json = match (&value.kind, each) {
                // A source of which nothing is said but its name.
                (ValueKind::Nil, Shape::Table(_)) => Some(Json::Object(Map::new())),
                _ => self.read(each, value, &path),
            };
            if let Some(json) = json {
                map.insert(name.clone(), json);
            }
        }
        Some(Json::Object(map))
    }

    fn read_list(&mut self, secret: bool, value: &Value, path: &str) -> Option<Json> {
        let items: Vec<Json> = match &value.kind {
            ValueKind::Array(items) => {
                let texts = items.iter().map(|item| match &item.kind {
                    ValueKind::String(text) => Some(Json::String(text.trim().to_owned())),
                    _ => None,
                });
                let Some(texts) = texts.collect::<Option<Vec<_>>>() else {
                    self.findings.add(path, "holds something that is not a text", "put each item in quotes");
                    return None;
                };
                texts
            }
            ValueKind::String(text) => {
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Json::from).collect()
            }
            _ if secret => {
                self.findings.add(path, "is not a list of texts", "write a list, each item in quotes");
                return None;
            }
            _ => return self.wrong_kind(&Shape::List { secret }, value, path),
        };
        Some(Json::Array(items))
    }

    fn read_json(&mut self, value: &Value, path: &str) -> Option<Json> {
        let json = match &value.kind {
            ValueKind::String(text) if text.trim().is_empty() => return None,
            ValueKind::String(text) => serde_json::from_str(text).ok(),
            _ => Some(plain_json(value)),
        };
        match json {
            Some(Json::Object(object)) => Some(Json::Object(object)),
            _ => {
                self.findings.add(path, "is not a JSON object", "write an object, such as {} or {\"metadata\": {}}");
                None
            }
        }
    }

    fn read_leaf(&mut self, shape: &Shape, value: &Value, path: &str) -> Option<Json> {
        let text = scalar(value);
        let is_text = matches!(value.kind, ValueKind::String(_));
        let wrong = |reading: &mut Self, problem: &str, cure: &str| {
            reading.findings.add(path, format!("{} {problem}", quoted(&text)), cure);
            None
        };
        match shape {
            Shape::Size => match Size::parse(&text) {
                Ok(_) => Some(Json::String(text)),
                Err(problem) => wrong(self, problem, SIZE_FORM),
            },
            Shape::Time => match Time::parse(&text) {
                Ok(_) => Some(Json::String(text)),
                Err(problem) => wrong(self, problem, TIME_FORM),
            },
            // An optional number that a variable leaves empty is not given.
            Shape::Number { .. } if text.trim().is_empty() => None,
            Shape::Number { max } => match text.trim().parse::<u64>() {
                Ok(number) if number <= *max => Some(Json::from(number)),
                _ => wrong(self, "is not a whole number in range", &format!("write a number from 0 to {max}")),
            },
            Shape::Flag => match text.trim() {
                "true" => Some(Json::Bool(true)),
                "false" => Some(Json::Bool(false)),
                _ => wrong(self, "is neither true nor false", "write true or false"),
            },
            Shape::Choice(words) if words.contains(&text) => Some(Json::String(text)),
            // YAML as Helm writes it has no `off`: it has become false.
            Shape::Choice(words) if text == "false" && words.iter().any(|word| word == "off") => {
                Some(Json::String("off".to_owned()))
            }
            Shape::Choice(words) => {
                let meant = nearest(&text, words.iter().map(String::as_str)).unwrap_or_default();
                wrong(self, "is none of the choices", &format!("did you mean {meant}? ({})", words.join(", ")))
            }
            // A property or a topic's setting: its value is text for Kafka whatever YAML took it for.
            _ if is_text || path.starts_with("kafka.properties.") || path.starts_with("topics.config.") => {
                Some(Json::String(text))
            }
            _ => wrong(self, "is not a text", "put it in quotes"),
        }
    }

    fn wrong_kind(&mut self, shape: &Shape, value: &Value, path: &str) -> Option<Json> {
        let is = match value.kind {
            ValueKind::Table(_) => "is a table of keys",
            ValueKind::Array(_) => "is a list",
            _ => "is a single value",
        };
        let cure = match shape {
            Shape::Table(keys) => {
                format!("write keys below it: {}", keys.keys().cloned().collect::<Vec<_>>().join(", "))
            }
            Shape::Map(_) => "write `name: value` lines below it".to_owned(),
            Shape::List { .. } => "write a list".to_owned(),
            _ => "write a single value".to_owned(),
        };
        self.findings.add(path, is, cure);
        None
    }

    fn unknown(&mut self, path: &str, value: &Value) {
        // Below a source the known keys stand under that source's name.
        let name = path.strip_prefix("sources.").and_then(|rest| rest.split('.').next()).unwrap_or(ANY);
        let known: Vec<String> = self.known.iter().map(|known| known.replace(ANY, name)).collect();
        let meant = nearest_path(path, known.iter().map(String::as_str)).unwrap_or_default();
        let origin = value.origin().map(str::to_owned);
        self.findings.add_from(path, "no such setting", format!("did you mean {meant}?"), origin);
    }
}

fn sorted(table: &::config::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut keys: Vec<_> = table.iter().collect();
    keys.sort_by_key(|(name, _)| *name);
    keys
}

fn scalar(value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => text.clone(),
        ValueKind::Boolean(flag) => flag.to_string(),
        ValueKind::I64(number) => number.to_string(),
        ValueKind::I128(number) => number.to_string(),
        ValueKind::U64(number) => number.to_string(),
        ValueKind::U128(number) => number.to_string(),
        ValueKind::Float(number) => number.to_string(),
        ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => String::new(),
    }
}

fn plain_json(value: &Value) -> Json {
    match &value.kind {
        ValueKind::Nil => Json::Null,
        ValueKind::Boolean(flag) => Json::Bool(*flag),
        ValueKind::I64(number) => Json::from(*number),
        ValueKind::U64(number) => Json::from(*number),
        ValueKind::Float(number) => Json::from(*number),
        ValueKind::Array(items) => Json::Array(items.iter().map(plain_json).collect()),
        ValueKind::Table(table) => {
            Json::Object(sorted(table).into_iter().map(|(name, value)| (name.clone(), plain_json(value))).collect())
        }
        ValueKind::String(_) | ValueKind::I128(_) | ValueKind::U128(_) => Json::String(scalar(value)),
    }
}
