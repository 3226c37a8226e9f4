//! The environment as a layer: `RETELL_BRIDGE_` + levels joined by `__`, each variable to the key it means. Pure.
//!
//! Kubernetes gives every pod variables for the Services of its namespace; those of a Service named `retell-bridge`
//! begin as ours do (`RETELL_BRIDGE_SERVICE_HOST`, `RETELL_BRIDGE_PORT_8080_TCP_ADDR`) and are passed over.

use std::ffi::OsString;

use super::errors::Findings;
use super::nearest::nearest;
use super::shape::{ANY, Shape};

/// What every variable of ours begins with.
pub const PREFIX: &str = "RETELL_BRIDGE_";
/// The name in Retell's own samples: the default source's key where none is set.
pub const API_KEY: &str = "RETELL_API_KEY";
const PROPERTY_PREFIX: &str = "KAFKA_PROPERTY_";
/// Maps whose keys have dots, which variables cannot have: there `_` is read as a dot.
const DOTTED: [[&str; 2]; 3] = [["kafka", "properties"], ["kafka", "properties_files"], ["topics", "config"]];

/// One key and its value, still text.
pub struct Assignment {
    /// Levels of the key; the last may have dots.
    pub levels: Vec<String>,
    pub value: String,
    /// Name of the variable, or the flag.
    pub origin: String,
}

/// Every variable of ours. `sources` are the names that files gave, which a variable may mean with `_` for `-`.
pub fn assignments(
    variables: &[(OsString, OsString)],
    shape: &Shape,
    sources: &[String],
    findings: &mut Findings,
) -> Vec<Assignment> {
    let mut assignments = Vec::new();
    for (name, value) in variables {
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let origin = format!("{PREFIX}{rest}");
        if is_service_link(rest) {
            continue;
        }
        let Some(levels) = levels(rest, shape, sources) else {
            unknown(&origin, shape, findings);
            continue;
        };
        match value.to_str() {
            Some(value) => assignments.push(Assignment { levels, value: value.to_owned(), origin }),
            None => findings.add_from(&origin, "is not UTF-8", "write it as text", None),
        }
    }
    // The order of the environment is nobody's choice.
    assignments.sort_by(|one, two| one.origin.cmp(&two.origin));
    assignments
}

/// Whether a variable means a key.
pub fn means_a_setting(name: &str, shape: &Shape) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| levels(rest, shape, &[]).is_some())
}

/// The levels that the rest of a variable's name means; `None` where it means no key.
fn levels(rest: &str, shape: &Shape, sources: &[String]) -> Option<Vec<String>> {
    let lower = rest.to_ascii_lowercase();
    if let Some(property) = rest.strip_prefix(PROPERTY_PREFIX) {
        return (!property.is_empty()).then(|| property_levels(&property.to_ascii_lowercase()));
    }
    let parts: Vec<&str> = lower.split("__").collect();
    let mut levels: Vec<String> = Vec::new();
    let mut at = shape;
    for (index, part) in parts.iter().enumerate() {
        match at {
            Shape::Table(keys) => {
                at = keys.get(*part)?;
                levels.push((*part).to_owned());
            }
            Shape::Map(each) if matches!(**each, Shape::Table(_)) => {
                let known = sources.iter().find(|source| source.replace('-', "_") == *part);
                levels.push(known.cloned().unwrap_or_else(|| (*part).to_owned()));
                at = each;
            }
            Shape::Map(each) => {
                let name = parts[index..].join("__");
                let dotted = DOTTED.iter().any(|path| levels == *path);
                levels.push(if dotted { name.replace('_', ".") } else { name });
                at = each;
                break;
            }
            _ => return None,
        }
    }
    let is_value = !matches!(at, Shape::Table(_) | Shape::Map(_)) && levels.iter().all(|level| !level.is_empty());
    is_value.then_some(levels)
}

/// A property, or the file of a secret one: `SASL_PASSWORD_FILE`.
fn property_levels(property: &str) -> Vec<String> {
    let name = property.replace('_', ".");
    let (map, name) = match name.strip_suffix(".file") {
        Some(secret) if super::show::is_secret_property(secret) => ("properties_files", secret.to_owned()),
        _ => ("properties", name),
    };
    vec!["kafka".to_owned(), map.to_owned(), name]
}

fn unknown(origin: &str, shape: &Shape, findings: &mut Findings) {
    let mut known: Vec<String> = shape.paths().iter().map(|path| variable(path)).collect();
    known.push(format!("{PREFIX}{PROPERTY_PREFIX}SASL_USERNAME"));
    // By letters alone, so that one underscore for two finds its key.
    let letters = |name: &str| name.replace('_', "").to_lowercase();
    let plain: Vec<String> = known.iter().map(|name| letters(name)).collect();
    let found = nearest(&letters(origin), plain.iter().map(String::as_str));
    let meant = found.and_then(|found| plain.iter().position(|each| each == found)).map(|index| known[index].as_str());
    let cure = format!("did you mean {}? (levels are joined by two underscores)", meant.unwrap_or(PREFIX));
    findings.add_from(origin, "no such setting", cure, None);
}

/// The variable that sets the key at `path`.
pub fn variable(path: &str) -> String {
    let levels = path.replace(ANY, super::given::DEFAULT_SOURCE).replace('.', "__");
    format!("{PREFIX}{}", levels.to_ascii_uppercase())
}

/// Whether Kubernetes or Docker made the variable for a Service.
fn is_service_link(rest: &str) -> bool {
    let ends = |part: &str| {
        let (port, protocol) = part.split_once('_').unwrap_or((part, ""));
        let known = ["TCP", "UDP", "SCTP"]
            .iter()
            .any(|name| protocol.strip_prefix(name).is_some_and(|end| ["", "_PROTO", "_PORT", "_ADDR"].contains(&end)));
        port.parse::<u16>().is_ok() && known
    };
    let after = |word: &str| match rest.find(word) {
        Some(0) => Some(&rest[word.len()..]),
        Some(at) if rest[..at].ends_with('_') => Some(&rest[at + word.len()..]),
        _ => None,
    };
    // A setting with levels has `__`; what Kubernetes makes has none.
    !rest.contains("__")
        && !rest.starts_with(PROPERTY_PREFIX)
        && (after("SERVICE_HOST") == Some("")
            || after("SERVICE_PORT").is_some()
            || after("PORT").is_some_and(|end| end.is_empty() || end.strip_prefix('_').is_some_and(ends)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Result<String, String> {
        let mut findings = Findings::default();
        let variables = [(OsString::from(name), OsString::from("v"))];
        let sources = ["my-team".to_owned()];
        let found = assignments(&variables, &Shape::of_settings(), &sources, &mut findings);
        match found.first() {
            Some(assignment) => Ok(assignment.levels.join("/")),
            None => Err(findings.finish::<()>(None).unwrap_err().to_string()),
        }
    }

    #[test]
    fn variables_mean_the_documented_keys() {
        for (name, key) in [
            ("RETELL_BRIDGE_LISTEN", "listen"),
            ("RETELL_BRIDGE_KAFKA__BROKERS", "kafka/brokers"),
            ("RETELL_BRIDGE_SOURCES__DEFAULT__KEYS", "sources/default/keys"),
            ("RETELL_BRIDGE_SOURCES__MY_TEAM__KEYS_FILE", "sources/my-team/keys_file"),
            ("RETELL_BRIDGE_SOURCES__NEW_ONE__PATH", "sources/new_one/path"),
            ("RETELL_BRIDGE_KAFKA_PROPERTY_SASL_USERNAME", "kafka/properties/sasl.username"),
            ("RETELL_BRIDGE_KAFKA_PROPERTY_SASL_PASSWORD_FILE", "kafka/properties_files/sasl.password"),
            ("RETELL_BRIDGE_KAFKA__PROPERTIES__LINGER_MS", "kafka/properties/linger.ms"),
            ("RETELL_BRIDGE_TOPICS__CONFIG__RETENTION_MS", "topics/config/retention.ms"),
            ("RETELL_BRIDGE_TOPICS__OVERRIDES__CALL_ENDED", "topics/overrides/call_ended"),
            (
                "RETELL_BRIDGE_SOURCES__DEFAULT__INBOUND_ANSWER__CALL_INBOUND",
                "sources/default/inbound_answer/call_inbound",
            ),
        ] {
            assert_eq!(read(name).as_deref(), Ok(key), "{name}");
        }
    }

    #[test]
    fn a_variable_that_means_no_key_names_the_one_it_is_nearest_to() {
        for (name, meant) in [
            ("RETELL_BRIDGE_KAFKA_BROKERS", "RETELL_BRIDGE_KAFKA__BROKERS"),
            ("RETELL_BRIDGE_JOURNAL__SIZE", "RETELL_BRIDGE_JOURNAL__SIZE_MAX"),
            ("RETELL_BRIDGE_LISTN", "RETELL_BRIDGE_LISTEN"),
            ("RETELL_BRIDGE_SOURCES__DEFAULT__KEY", "RETELL_BRIDGE_SOURCES__DEFAULT__KEYS"),
        ] {
            let error = read(name).unwrap_err();
            assert!(error.contains(&format!("did you mean {meant}?")), "{error}");
        }
        assert!(read("RETELL_BRIDGE_KAFKA").is_err(), "a table takes no value");
        assert!(read("RETELL_BRIDGE_LISTEN__PORT").is_err(), "nothing stands below a value");
    }

    #[test]
    fn what_kubernetes_says_of_a_service_is_no_setting() {
        for name in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "PORT",
            "PORT_8080_TCP",
            "PORT_8080_TCP_ADDR",
            "ADMIN_SERVICE_HOST",
            "ADMIN_PORT_9464_TCP_PROTO",
        ] {
            assert!(is_service_link(name), "{name}");
        }
        for name in ["LISTEN", "ADMIN__LISTEN", "PORTS", "KAFKA_PROPERTY_X_PORT", "TRANSPORT"] {
            assert!(!is_service_link(name), "{name}");
        }
    }
}
