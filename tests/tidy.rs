//! The house rules that a compiler does not hold: who may import whom, one door for each heavy dependency, files that fit
//! a head. Plain text walks over `src/`; each failure says what to do.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of one file without its tests. Split a file by question before it gets there; there is no list of exceptions.
const FILE_LINES_MAX: usize = 400;

/// A word, and the places (file, or folder with `/`, below `src/`) that may use it.
const DOORS: [(&str, &[&str]); 10] = [
    ("rdkafka", &["kafka/", "cli/dev/broker.rs"]),
    ("actix_web", &["intake/", "admin.rs"]),
    ("actix_http", &["intake/", "admin.rs"]),
    ("actix_server", &["intake/", "admin.rs"]),
    ("actix_service", &["intake/", "admin.rs"]),
    ("prometheus", &["metrics.rs"]),
    ("tokio_rustls", &["intake/"]),
    ("x509_parser", &["intake/certificate.rs"]),
    // The journal's files have one door; the other places read settings, keys and what a person names.
    ("std::fs", &["journal/storage", "reload.rs", "config/", "cli/", "kafka/"]),
    ("rustix::fs", &["journal/storage"]),
];

/// Pairs that the order alone would allow: (who, whom), and why not.
const NEVER: [(&str, &str, &str); 4] = [
    ("publisher", "intake", "they meet only in the journal"),
    ("journal", "event", "the journal stores positions, tags and opaque bytes"),
    ("journal", "signature", "the journal stores positions, tags and opaque bytes"),
    ("health", "metrics", "ground modules use none"),
];

struct Source {
    /// Below `src/`, with `/`.
    path: String,
    /// Lines with their numbers, without comments and without the tests at the file's end.
    lines: Vec<(usize, String)>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|end| end == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Everything that ships: test files and test modules are left out.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        Source { path: name, lines: shipped(&text) }
    };
    let is_test = |path: &Path| {
        let below = path.strip_prefix(&src).unwrap();
        below.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
    };
    let sources: Vec<_> = files(&src, "rs").into_iter().filter(|path| !is_test(path)).map(read).collect();
    assert!(sources.len() > 20, "src/ was not found");
    sources
}

/// Lines up to the test module at the end, comments blanked.
fn shipped(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let is_tests = |at: usize| {
        lines[at].trim() == "#[cfg(test)]"
            && lines[at + 1..].iter().find(|line| !line.trim_start().starts_with("#[")).is_some_and(|line| {
                let line = line.trim_start();
                let line =
                    if line.starts_with("pub") { line.find(" mod ").map_or("", |at| &line[at + 1..]) } else { line };
                line.starts_with("mod ") && line.ends_with('{')
            })
    };
    let end = (0..lines.len()).find(|at| is_tests(*at)).unwrap_or(lines.len());
    let code = |line: &str| if line.trim_start().starts_with("//") { String::new() } else { line.to_owned() };
    lines[..end].iter().enumerate().map(|(at, line)| (at + 1, code(line))).collect()
}

/// `pub mod` lines of `lib.rs`, in order.
fn order() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let name = |line: &str| Some(line.trim().strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned());
    let order: Vec<_> = lib.lines().filter_map(name).collect();
    assert!(order.len() > 5, "lib.rs names no modules as `pub mod name;`");
    order
}

fn module_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

/// Modules named as `crate::x` or in `crate::{x, y::z}`.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let text: String = source.lines.iter().map(|(_, line)| format!("{line}\n")).collect();
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let line = text[..at].lines().count().max(1);
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(of_group(group).into_iter().map(|name| (line, name))),
            None => found.push((line, word(rest))),
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|each| each.is_alphanumeric() || *each == '_').collect()
}

/// First names of the items in `{a, b::{c, d}, e}`.
fn of_group(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0, Vec::new(), true);
    for (at, each) in group.char_indices() {
        match each {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ if start && !each.is_whitespace() => {
                names.push(word(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

/// Whether `text` has `word` as a word of its own.
fn has_word(text: &str, word: &str) -> bool {
    let part = |each: char| each.is_alphanumeric() || each == '_';
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

fn told(broken: Vec<String>) {
    assert!(broken.is_empty(), "{} place(s):\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn a_module_uses_only_those_above_it_in_lib_rs() {
    let order = order();
    let place = |name: &str| order.iter().position(|each| each == name);
    let mut broken = Vec::new();
    for source in sources() {
        let module = module_of(&source.path).to_owned();
        let Some(own) = place(&module) else { continue };
        for (line, used) in imports(&source) {
            let at = format!("src/{}:{line}: {module} uses {used}", source.path);
            if place(&used).is_some_and(|used| used > own) {
                broken.push(format!("{at}, which stands below it in lib.rs: move the code, or hand the value down"));
            }
            if let Some((_, _, why)) = NEVER.iter().find(|(who, whom, _)| *who == module && *whom == used) {
                broken.push(format!("{at}, which it never does: {why}"));
            }
        }
    }
    told(broken);
}

#[test]
fn each_heavy_dependency_has_one_door() {
    let mut broken = Vec::new();
    for source in sources() {
        for (number, line) in &source.lines {
            for (door, allowed) in DOORS {
                let inside = allowed.iter().any(|place| source.path.starts_with(place));
                if !inside
                    && (line.contains(&format!("{door}::")) || line.contains(&format!("use {door}")))
                    && has_word(line, door)
                {
                    let at = format!("src/{}:{number}", source.path);
                    broken.push(format!("{at}: {door} is used only in {}: go through there", allowed.join(", ")));
                }
            }
        }
    }
    told(broken);
}

#[test]
fn within_the_journal_only_storage_touches_files() {
    let words = ["File::", "OpenOptions", "std::os::unix::fs", "rustix::fs", "fs::"];
    let mut broken = Vec::new();
    for source in sources() {
        let outside = source.path.starts_with("journal/") && !source.path.starts_with("journal/storage");
        for (number, line) in source.lines.iter().filter(|_| outside) {
            if let Some(found) =
                words.iter().find(|word| has_word(line, word.trim_end_matches(':')) && line.contains(**word))
            {
                broken.push(format!("src/{}:{number}: `{found}`: ask the trait Storage instead", source.path));
            }
        }
    }
    told(broken);
}

#[test]
fn every_file_fits_a_head() {
    let too_long = |source: &Source| source.lines.len() > FILE_LINES_MAX;
    let say = |source: Source| {
        let lines = source.lines.len();
        format!("src/{}: {lines} lines without tests, at most {FILE_LINES_MAX}: split it by question", source.path)
    };
    told(sources().into_iter().filter(too_long).map(say).collect());
}

#[test]
fn no_shortcut_ships() {
    let anywhere = [
        (".unwrap()", "handle it, or `expect` with the reason why it holds"),
        ("todo!(", "do it, or open an issue"),
        ("unimplemented!(", "do it, or open an issue"),
        ("dbg!(", "log it"),
    ];
    let outside_cli = [("println!(", "log it; only commands print"), ("print!(", "log it; only commands print")];
    let mut broken = Vec::new();
    for source in sources() {
        let prints = source.path.starts_with("cli/");
        for (number, line) in &source.lines {
            let rules = anywhere.iter().chain(outside_cli.iter().filter(|_| !prints));
            for (word, instead) in rules.filter(|(word, _)| line.contains(word)) {
                broken.push(format!("src/{}:{number}: `{word}`: {instead}", source.path));
            }
        }
    }
    told(broken);
}

#[test]
fn every_file_begins_with_its_contract() {
    let begins = |source: &Source| {
        let text = fs::read_to_string(root().join("src").join(&source.path)).unwrap();
        text.starts_with("//!")
    };
    let say =
        |source: Source| format!("src/{}: say in `//!` what goes in, what comes out, what never happens", source.path);
    told(sources().into_iter().filter(|source| !begins(source)).map(say).collect());
}

#[test]
fn the_walks_see_what_they_look_for() {
    let source = Source {
        path: "journal/x.rs".to_owned(),
        lines: shipped(
            "use crate::{intake, event::{Kind, Peek}};\n// crate::cli\nlet x = crate::config::y();\n#[cfg(test)]\nmod tests {\ncrate::kafka\n}",
        ),
    };
    let found: Vec<_> = imports(&source).into_iter().map(|(_, name)| name).collect();
    assert_eq!(found, ["intake", "event", "config"]);
    assert!(has_word("use rdkafka::x", "rdkafka") && !has_word("librdkafka::x", "rdkafka"));
}
