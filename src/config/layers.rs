//! The layers of settings, merged into one tree in which every value remembers where it came from: files (later wins) <
//! environment < flags. Defaults are not a layer: they are what a key has that no layer names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ::config::{Config, ConfigError as LayerError, FileFormat, Format, Map, Source, Value, ValueKind};

use super::environment::{self, Assignment};
use super::errors::Findings;
use super::nearest::nearest_path;
use super::shape::Shape;

/// Where settings come from.
#[derive(Clone, Default)]
pub struct Inputs {
    /// YAML, or TOML where the name ends in `.toml`; later ones win.
    pub files: Vec<PathBuf>,
    /// All variables; only ours are looked at.
    pub environment: Vec<(OsString, OsString)>,
    /// `key=value`, as given to `--set`.
    pub flags: Vec<String>,
}

/// Name of the flag, as the origin of its values.
pub const FLAG: &str = "--set";

/// Reads and merges all layers. What cannot be read is a finding, and the rest goes on.
pub fn merged(inputs: &Inputs, shape: &Shape, findings: &mut Findings) -> Value {
    let files: Vec<Layer> = inputs.files.iter().filter_map(|path| read_file(path, findings)).collect();
    let below = merge(files.clone());
    let sources = names_below(&below, "sources");
    let variables = environment::assignments(&inputs.environment, shape, &sources, findings);
    let flags = inputs.flags.iter().filter_map(|flag| read_flag(flag, shape, findings));
    let above = variables.into_iter().chain(flags).map(Layer::from);
    merge(files.into_iter().chain(above.collect::<Vec<_>>()))
}

/// One layer: a file's tree, or one assignment.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, LayerError> {
        Ok(self.0.clone())
    }
}

impl From<Assignment> for Layer {
    fn from(assignment: Assignment) -> Layer {
        let leaf = Value::new(Some(&assignment.origin), ValueKind::String(assignment.value));
        let value = assignment.levels.iter().skip(1).rev().fold(leaf, |value, level| {
            let table: Map<String, Value> = [(level.clone(), value)].into_iter().collect();
            Value::new(Some(&assignment.origin), ValueKind::Table(table))
        });
        Layer([(assignment.levels[0].clone(), value)].into_iter().collect())
    }
}

fn merge(layers: impl IntoIterator<Item = Layer>) -> Value {
    let builder = layers.into_iter().fold(Config::builder(), |builder, layer| builder.add_source(layer));
    // Only a source's `collect` can fail, and ours do not.
    builder.build().map(|config| config.cache).unwrap_or_else(|_| Value::new(None, ValueKind::Table(Map::new())))
}

fn names_below(tree: &Value, key: &str) -> Vec<String> {
    let ValueKind::Table(keys) = &tree.kind else { return Vec::new() };
    match keys.get(key).map(|value| &value.kind) {
        Some(ValueKind::Table(below)) => below.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

fn read_file(path: &Path, findings: &mut Findings) -> Option<Layer> {
    let name = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let cure = "name a file that this user may read, in YAML or TOML";
            findings.add_from(&name, format!("cannot be read: {error}"), cure, None);
            return None;
        }
    };
    let format = if path.extension().is_some_and(|end| end == "toml") { FileFormat::Toml } else { FileFormat::Yaml };
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Some(Layer(Map::new()));
    }
    match format.parse(Some(&name), &text) {
        Ok(tree) => Some(Layer(tree)),
        Err(error) => {
            let kind = if matches!(format, FileFormat::Toml) { "TOML" } else { "YAML" };
            findings.add_from(&name, format!("is not {kind} that can be read: {}", told(&*error)), "", None);
            None
        }
    }
}

/// A parser's words without the text it met, which may be a key.
fn told(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    if error.is::<LayerError>() || error.is::<Box<LayerError>>() {
        return "it holds no `key: value` lines".to_owned();
    }
    let text = error.to_string();
    // TOML's parser draws the line it stumbled over: `3 | keys = …`.
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let told: Vec<_> = lines.filter(|line| !line.contains('|')).collect();
    told.join(": ")
}

fn read_flag(flag: &str, shape: &Shape, findings: &mut Findings) -> Option<Assignment> {
    let Some((path, value)) = flag.split_once('=') else {
        let cure = "write --set key=value, such as --set kafka.brokers=localhost:9092";
        findings.add_from(FLAG, "has no `=`", cure, None);
        return None;
    };
    let Some((levels, secret)) = flag_levels(path, shape) else {
        let known = shape.paths();
        let meant = nearest_path(path, known.iter().map(String::as_str)).unwrap_or_default();
        let group = path.trim().trim_end_matches('.');
        let (problem, cure) = match shape_at(group, shape) {
            _ if group.is_empty() => {
                ("no such setting", "write --set key=value, such as --set kafka.brokers=localhost:9092".to_owned())
            }
            Some(Shape::Map(each)) if matches!(**each, Shape::Table(_)) => {
                ("is a group of groups", format!("set one key of one of them: --set {group}.<name>.<key>=<value>"))
            }
            Some(Shape::Map(_)) => ("has entries of any name", format!("set one: --set {group}.<name>=<value>")),
            Some(Shape::Table(_)) => ("is a group of settings", format!("set one: --set {group}.<key>=<value>")),
            _ => ("no such setting", format!("did you mean {meant}?")),
        };
        let path = if path.trim().is_empty() { FLAG } else { path };
        findings.add_from(path, problem, cure, Some(FLAG.to_owned()));
        return None;
    };
    if secret {
        let cure = "use the environment or the file twin of this key";
        let problem = "is a secret, and every user of this machine can see a command line";
        findings.add_from(path, problem, cure, Some(FLAG.to_owned()));
        return None;
    }
    Some(Assignment { levels, value: value.to_owned(), origin: FLAG.to_owned() })
}

/// What stands at a path that is a group and takes no value itself.
fn shape_at<'s>(path: &str, shape: &'s Shape) -> Option<&'s Shape> {
    path.split('.').try_fold(shape, |at, name| match at {
        Shape::Table(keys) => keys.get(name),
        Shape::Map(each) if matches!(**each, Shape::Table(_)) => Some(each.as_ref()),
        _ => None,
    })
}

/// Levels of a dotted path, and whether its value is secret.
fn flag_levels(path: &str, shape: &Shape) -> Option<(Vec<String>, bool)> {
    let mut levels = Vec::new();
    let (mut rest, mut at) = (Some(path), shape);
    while let Some(path) = rest {
        let (first, after) = path.split_once('.').map_or((path, None), |(first, after)| (first, Some(after)));
        match at {
            Shape::Table(keys) => {
                at = keys.get(first)?;
                levels.push(first.to_owned());
                rest = after;
            }
            Shape::Map(each) if matches!(**each, Shape::Table(_)) => {
                at = each;
                levels.push(first.to_owned());
                rest = after;
            }
            Shape::Map(each) => {
                let secret = levels == ["kafka", "properties"] && super::show::is_secret_property(path);
                levels.push(path.to_owned());
                return (!path.is_empty() && **each == Shape::Text).then_some((levels, secret));
            }
            _ => return None,
        }
    }
    match at {
        Shape::Table(_) | Shape::Map(_) => None,
        Shape::List { secret } => Some((levels, *secret)),
        _ => Some((levels, false)),
    }
}
