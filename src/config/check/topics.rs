//! The topics: legal names, none of them with two meanings, at most 64.

use std::collections::BTreeMap;

use crate::config::errors::{Findings, quoted};
use crate::config::given::{self, Given, Types};
use crate::config::nearest::nearest;
use crate::event::Kind;
use crate::journal::LANES_MAX;
use crate::kafka::topics::Shape;
use crate::publisher::Topics;

/// The two that stand beside the types.
const BESIDE: [&str; 2] = ["unrecognized", "dead_letter"];
/// Kafka's own.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];
/// Kafka's longest.
const NAME_BYTES_MAX: usize = 249;

/// Checks names, types and overrides.
pub fn checked(given: &Given, findings: &mut Findings) -> Topics {
    let types = types(&given.topics.types, findings);
    overrides_mean_something(&given.topics, &types, findings);
    prefix_is_legal(&given.topics.prefix, "topics.prefix", findings);
    let mut source_prefixes = BTreeMap::new();
    for (name, source) in &given.sources {
        if let Some(prefix) = source.topic_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            prefix_is_legal(prefix, &format!("sources.{name}.topic_prefix"), findings);
            source_prefixes.insert(name.clone(), prefix.to_owned());
        }
    }
    let topics = Topics {
        prefix: given.topics.prefix.clone(),
        source_prefixes,
        types,
        all: given.topics.all.clone().filter(|name| !name.is_empty()),
        overrides: given.topics.overrides.clone(),
    };
    names_have_one_meaning(&topics, findings);
    topics
}

fn types(given: &Types, findings: &mut Findings) -> Vec<Kind> {
    let names: &[String] = match given {
        Types::All(word) => std::slice::from_ref(word),
        Types::Named(names) => names,
    };
    if names == ["all"] {
        return Kind::KNOWN.to_vec();
    }
    let known = Kind::KNOWN.map(Kind::name);
    let mut types = Vec::new();
    for name in names {
        match Kind::KNOWN.into_iter().find(|kind| kind.name() == name) {
            Some(kind) if !types.contains(&kind) => types.push(kind),
            Some(_) => {}
            None => {
                let cure = match nearest(name, known) {
                    _ if name == "all" => "write `all` alone, or a list without it".to_owned(),
                    meant => format!("did you mean {}? (or `all`)", meant.unwrap_or_default()),
                };
                findings.add("topics.types", format!("{} is no event type that Retell documents", quoted(name)), cure);
            }
        }
    }
    types
}

fn overrides_mean_something(given: &given::Topics, types: &[Kind], findings: &mut Findings) {
    let known: Vec<&str> = Kind::KNOWN.map(Kind::name).into_iter().chain(BESIDE).collect();
    for (short, name) in &given.overrides {
        let at = format!("topics.overrides.{short}");
        if !known.contains(&short.as_str()) {
            let meant = nearest(short, known.iter().copied()).unwrap_or_default();
            findings.add(&at, "no such type", format!("did you mean {meant}?"));
        } else if !BESIDE.contains(&short.as_str()) && !types.contains(&Kind::named(short)) {
            let cure = "list it there as well, or leave this out: its events go to unrecognized";
            findings.add(&at, "the type is not in topics.types", cure);
        } else if let Some(problem) = name_trouble(name) {
            findings.add(&at, format!("{} {problem}", quoted(name)), "write letters, digits, `.`, `_` and `-`");
        }
    }
}

fn prefix_is_legal(prefix: &str, at: &str, findings: &mut Findings) {
    // The longest short name comes behind it.
    let longest = Kind::KNOWN.map(|kind| kind.name().len()).into_iter().max().unwrap_or_default();
    if !prefix.chars().all(is_legal) {
        let problem = format!("{} has a character that Kafka takes in no topic name", quoted(prefix));
        findings.add(at, problem, "write letters, digits, `.`, `_` and `-`, such as retell.");
    } else if prefix.len() + longest > NAME_BYTES_MAX {
        findings.add(at, "makes names longer than Kafka's 249 bytes", "write a shorter prefix");
    }
}

fn is_legal(each: char) -> bool {
    each.is_ascii_alphanumeric() || matches!(each, '.' | '_' | '-')
}

/// Why Kafka takes no topic of this name.
pub fn name_trouble(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is no topic name")
    } else if !name.chars().all(is_legal) {
        Some("has a character that Kafka takes in no topic name")
    } else if name.len() > NAME_BYTES_MAX {
        Some("is longer than Kafka's 249 bytes")
    } else if matches!(name, "." | "..") || INTERNAL.contains(&name) {
        Some("is a name that Kafka keeps for itself")
    } else {
        None
    }
}

/// Every topic: its name, and the settings that name it.
fn named(topics: &Topics) -> Vec<(String, String)> {
    let mut named = Vec::new();
    let shorts: Vec<&str> = topics.types.iter().map(|kind| kind.name()).chain(BESIDE).collect();
    let mut prefixes: Vec<&str> = topics.source_prefixes.values().map(String::as_str).collect();
    prefixes.push(&topics.prefix);
    prefixes.sort_unstable();
    prefixes.dedup();
    for short in shorts {
        match topics.overrides.get(short) {
            Some(name) => named.push((name.clone(), format!("topics.overrides.{short}"))),
            None => named
                .extend(prefixes.iter().map(|prefix| (format!("{prefix}{short}"), format!("the topic of {short}")))),
        }
    }
    named.extend(topics.all.iter().map(|name| (name.clone(), "topics.all".to_owned())));
    named
}

fn names_have_one_meaning(topics: &Topics, findings: &mut Findings) {
    if let Some((name, problem)) = topics.all.as_ref().and_then(|name| Some((name, name_trouble(name)?))) {
        findings.add("topics.all", format!("{} {problem}", quoted(name)), "write letters, digits, `.`, `_` and `-`");
    }
    let named = named(topics);
    // Kafka's metrics write a dot as an underscore, so it refuses two topics that differ in that alone.
    let as_metric = |name: &str| name.replace('.', "_");
    let mut meanings: BTreeMap<String, (String, String)> = BTreeMap::new();
    for (name, setting) in &named {
        let Some((other_name, other)) = meanings.insert(as_metric(name), (name.clone(), setting.clone())) else {
            continue;
        };
        if other_name == *name && other == *setting {
            continue;
        }
        // The finding stands at a key that a person wrote, if one of the two was.
        let at = [setting, &other]
            .into_iter()
            .find(|key| key.starts_with("topics."))
            .map_or("topics.prefix", String::as_str);
        let with = if at == setting { &other } else { setting };
        if other_name == *name {
            let cure = "give each a name of its own; for one stream of every event there is topics.all";
            findings.add(at, format!("{} is the name of {with} as well", quoted(name)), cure);
        } else {
            let problem = format!(
                "{} and {} differ in `.` and `_` alone, and Kafka refuses that",
                quoted(name),
                quoted(&other_name)
            );
            findings.add(at, problem, "rename one of them");
        }
    }
    if meanings.len() > LANES_MAX {
        let problem = format!("the settings make {} topics, more than {LANES_MAX}", meanings.len());
        let cure = "list fewer types in topics.types, or give several sources the same topic_prefix";
        findings.add("topics", problem, cure);
    }
}

/// How `topics apply` makes a topic.
pub fn shape(given: &given::Topics, findings: &mut Findings) -> Shape {
    if given.partitions == 0 {
        findings.add("topics.partitions", "is 0", "write a number such as 6; it cannot be lowered later");
    }
    if given.replication == Some(0) {
        findings.add("topics.replication", "is 0", "write a number such as 3, or leave it out");
    }
    let (partitions, replication) = (usize::from(given.partitions), given.replication);
    Shape { partitions, replication, config: given.config.clone(), change_key_order: false }
}
