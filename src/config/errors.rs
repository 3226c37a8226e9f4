//! What is wrong with the settings: all of it at once, one line each, with the key's path, what is wrong, what would be
//! right, and where it came from. A secret never stands in such a line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Of the key, as in the documents: `intake.body_max`. Of a file or variable where no key can be named.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub cure: String,
    /// File, variable or flag; `None` where it is the default.
    pub origin: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", on_one_line(&self.path), on_one_line(&self.problem))?;
        if !self.cure.is_empty() {
            write!(f, "; {}", on_one_line(&self.cure))?;
        }
        match &self.origin {
            Some(origin) if *origin != self.path => write!(f, " (from {})", on_one_line(origin)),
            _ => Ok(()),
        }
    }
}

/// Everything that is wrong; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    /// One line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Where each key that was given came from.
pub type Origins = BTreeMap<String, String>;

/// Gathers what is wrong while the settings are read and checked.
#[derive(Default)]
pub struct Findings {
    errors: Vec<ConfigError>,
    /// Filled by reading; asked by every later finding.
    pub origins: Origins,
}

impl Findings {
    /// None yet, about settings that came from there.
    pub fn with_origins(origins: Origins) -> Findings {
        Findings { errors: Vec::new(), origins }
    }

    /// Something is wrong at `path`. Only the first finding of a key is kept: what follows from it would mislead.
    pub fn add(&mut self, path: &str, problem: impl Into<String>, cure: impl Into<String>) {
        let origin = self.origin(path).map(str::to_owned);
        self.add_from(path, problem, cure, origin);
    }

    /// The same, for what has no place in the tree of keys.
    pub fn add_from(
        &mut self,
        path: &str,
        problem: impl Into<String>,
        cure: impl Into<String>,
        origin: Option<String>,
    ) {
        if !self.errors.iter().any(|error| error.path == path) {
            // A library's own words may have line breaks.
            let problem = problem.into().lines().map(str::trim).collect::<Vec<_>>().join(" ");
            self.errors.push(ConfigError { path: path.to_owned(), problem, cure: cure.into(), origin });
        }
    }

    /// Whether something is wrong at `path` already.
    pub fn is_wrong(&self, path: &str) -> bool {
        self.errors.iter().any(|error| error.path == path)
    }

    /// Where the key at `path` was given, or one below it, or the nearest above it.
    pub fn origin(&self, path: &str) -> Option<&str> {
        let below = format!("{path}.");
        if !self.origins.contains_key(path)
            && let Some((_, origin)) =
                self.origins.range(below.clone()..).next().filter(|(key, _)| key.starts_with(&below))
        {
            return Some(origin);
        }
        let mut path = path;
        loop {
            if let Some(origin) = self.origins.get(path) {
                return Some(origin);
            }
            path = &path[..path.rfind('.')?];
        }
    }

    /// `value`, if nothing was wrong.
    pub fn finish<T>(self, value: Option<T>) -> Result<(T, Origins), ConfigErrors> {
        match value {
            Some(value) if self.errors.is_empty() => Ok((value, self.origins)),
            _ => Err(ConfigErrors(self.errors)),
        }
    }
}

/// Names of keys, variables and files may have any character in them.
fn on_one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let shown = |each: char| if each.is_control() { each.escape_debug().to_string() } else { each.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// A value in a sentence: quoted, cut where it is long, without line breaks.
pub fn quoted(value: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let cut: String = value.chars().take(SHOWN_CHARS_MAX).collect();
    let more = if cut.len() < value.len() { "…" } else { "" };
    format!("`{}{more}`", cut.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_path_problem_cure_and_origin() {
        let mut findings = Findings::default();
        findings.origins.insert("intake".to_owned(), "a.yaml".to_owned());
        findings.add("intake.body_max", "is odd", "write 8MiB");
        findings.add("intake.body_max", "is odder", "");
        findings.add("listen", "is odd", "");
        let errors = findings.finish::<()>(None).unwrap_err();
        assert_eq!(errors.to_string(), "intake.body_max: is odd; write 8MiB (from a.yaml)\nlisten: is odd");
    }

    #[test]
    fn words_of_a_library_with_line_breaks_stay_on_one_line() {
        let mut findings = Findings::default();
        findings.add("kafka.properties.x", "librdkafka refuses the value: out of range\n", "");
        assert_eq!(
            findings.finish::<()>(None).unwrap_err().to_string(),
            "kafka.properties.x: librdkafka refuses the value: out of range"
        );
    }

    #[test]
    fn a_name_with_a_line_break_stays_on_one_line() {
        let mut findings = Findings::default();
        findings.add_from("a\nb", "no such setting", "did you mean a\tc?", Some("A\r".to_owned()));
        let told = findings.finish::<()>(None).unwrap_err().to_string();
        assert_eq!(told, "a\\nb: no such setting; did you mean a\\tc? (from A\\r)");
    }

    #[test]
    fn a_long_value_is_cut_and_stays_on_its_line() {
        assert_eq!(quoted("a\n\"b\""), "`a\\n\"b\"`");
        assert!(quoted(&"x".repeat(1_000)).len() < 80);
    }
}
