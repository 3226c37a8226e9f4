//! Documents that stay true: the README's tables against the code, and what charts, alerts and compose files name against
//! what there is. `UPDATE_README=1 cargo test --test documents` rewrites the tables.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use retell_bridge::event::Kind;
use retell_bridge::metrics::Metrics;
use retell_bridge::publisher::Topics;
use retell_bridge::{cli, config, schema};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("README.md stands at the top")
}

/// Holds the part of the README between `<!-- name -->` and `<!-- /name -->` to `table`, or writes it there.
fn hold_part(name: &str, table: &str) {
    let readme = readme();
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let start = readme.find(&begin).unwrap_or_else(|| panic!("README.md lacks the line {begin}")) + begin.len();
    let stop = start + readme[start..].find(&end).unwrap_or_else(|| panic!("README.md lacks the line {end}"));
    if readme[start..stop] == *table {
        return;
    }
    if std::env::var_os("UPDATE_README").is_some() {
        let renewed = format!("{}{table}{}", &readme[..start], &readme[stop..]);
        fs::write(root().join("README.md"), renewed).expect("README.md can be written");
        return;
    }
    panic!(
        "README.md: the table of {name} is not what the code says; run `UPDATE_README=1 cargo test --test documents`"
    );
}

// One test for both tables: they are parts of one file, and tests run side by side.
#[test]
fn the_tables_of_settings_and_metrics_are_what_the_code_says() {
    hold_part("settings", &config::markdown());
    let mut metrics = String::from("| metric | labels | meaning |\n| --- | --- | --- |\n");
    for metric in Metrics::new().described() {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        metrics.push_str(&format!("| `{}` | {labels} | {} |\n", metric.name, metric.help));
    }
    hold_part("metrics", &metrics);
}

#[test]
fn every_command_is_in_the_readme() {
    let readme = readme();
    let commands = cli::commands();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        let named = [format!("`{command}`"), format!("`retell-bridge {command}`"), format!("retell-bridge {command} ")];
        assert!(named.iter().any(|name| readme.contains(name)), "README.md does not name the command `{command}`");
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands behind `before` in lines that begin with it.
fn behind<'t>(text: &'t str, before: &'t str) -> BTreeSet<&'t str> {
    text.lines().filter_map(|line| line.trim().strip_prefix(before)).collect()
}

#[test]
fn every_type_with_a_schema_is_in_the_page_about_schemas_and_in_the_asyncapi_document() {
    let (page, asyncapi) = (read("docs/schemas.md"), read("schemas/asyncapi.yaml"));
    for name in schema::KINDS.map(Kind::name) {
        assert!(page.contains(&format!("`{name}`")), "docs/schemas.md does not name {name}");
        let payload = format!("payload: {{$ref: './{name}.json'}}");
        assert!(asyncapi.contains(&payload), "schemas/asyncapi.yaml has no `{payload}`");
    }
}

#[test]
fn the_asyncapi_document_has_the_topics_that_there_are() {
    let (types, none) = (Kind::KNOWN.to_vec(), Default::default());
    let topics = Topics { prefix: "retell.".into(), source_prefixes: none, types, all: None, overrides: [].into() };
    let topics = topics.lanes();
    let asyncapi = read("schemas/asyncapi.yaml");
    assert!(behind(&asyncapi, "version: ").contains(config::VERSION), "info.version is not {}", config::VERSION);
    assert_eq!(behind(&asyncapi, "address: "), topics.iter().map(String::as_str).collect());
}

#[test]
fn readme_and_asyncapi_document_have_the_headers_that_there_are() {
    let code = read("src/publisher/headers.rs");
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let pushed = ["list.push(\"", "push_some(\""].into_iter().flat_map(|call| code.split(call).skip(1));
    let headers: BTreeSet<_> = pushed.filter_map(|rest| rest.split('"').next()).collect();
    assert!(headers.len() > 10, "{headers:?}");
    let (readme, asyncapi) = (readme(), read("schemas/asyncapi.yaml"));
    let declared = asyncapi.lines().filter_map(|line| line.strip_prefix("          ")?.split_once(": {type: string"));
    assert_eq!(declared.map(|(name, _)| name).collect::<BTreeSet<_>>(), headers);
    for header in headers {
        assert!(readme.contains(&format!("`{header}`")), "README.md does not name the header {header}");
    }
}

/// The folders of `examples/`.
fn examples() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("examples")).expect("examples/ stands at the top");
    let folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    assert!(folders.len() > 5, "{folders:?}");
    folders
}

#[test]
fn the_page_about_consumers_starts_each_example_and_has_the_configuration_that_is_run() {
    let page = read("docs/consumers.md");
    for folder in examples() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(page.contains(&format!("(../examples/{name})")), "docs/consumers.md has no link to examples/{name}");
    }
    for name in ["worker", "sink"] {
        let text = read(&format!("examples/connect/{name}.properties"));
        assert!(page.contains(&text), "docs/consumers.md has another {name}.properties than examples/connect");
    }
}

#[test]
fn each_example_is_a_consumer_of_less_than_150_lines_and_a_few_files_beside_it() {
    let ends = ["py", "ts", "java", "go", "rs"];
    let built = ["target", "node_modules", "dist", ".venv", "bin"];
    for folder in examples() {
        let (mut left, mut sources) = (vec![folder.clone()], Vec::new());
        while let Some(folder) = left.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                let name = path.file_name().unwrap().to_str().unwrap();
                if path.is_dir() && !built.contains(&name) {
                    left.push(path);
                } else if path.extension().is_some_and(|end| ends.contains(&end.to_str().unwrap())) {
                    sources.push(fs::read_to_string(&path).unwrap().lines().count());
                }
            }
        }
        // The consumer; beside it what an event is, and where it is stored, which is the part to replace.
        let wanted = if folder.ends_with("connect") { 0..=0 } else { 1..=4 };
        assert!(wanted.contains(&sources.len()), "{}: {} sources", folder.display(), sources.len());
        // forward alone is not there to be rewritten but to be run as it is: order per key while the handler fails, at
        // most so many records held, and offsets that wait for the slowest of them. No library does that for it, and
        // without one of these a handler would see less than Retell's own webhooks give it.
        let below = if folder.ends_with("forward") { 200 } else { 150 };
        assert!(sources.iter().all(|lines| *lines < below), "{}: {sources:?} lines, not < {below}", folder.display());
    }
}

/// Everything under `deploy/` and `helm/`, and the compose file.
fn deploy_files() -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("a folder of this repository can be listed").path();
            // A link leads to a file that is looked at where it lies.
            if path.is_dir() && !path.is_symlink() {
                below(&path, found);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    let mut found = vec![root().join("docker-compose.yml")];
    below(&root().join("deploy"), &mut found);
    below(&root().join("helm"), &mut found);
    found
}

/// Words in `text` that begin with `prefix`.
fn words<'t>(text: &'t str, prefix: &str) -> BTreeSet<&'t str> {
    let part = |each: char| each.is_ascii_alphanumeric() || each == '_';
    let begins = text.match_indices(prefix).filter(|(at, _)| !text[..*at].ends_with(part));
    begins.map(|(at, _)| text[at..].split(|each| !part(each)).next().unwrap_or_default()).collect()
}

/// Names in all deploy files that begin with `prefix` and that `is_known` does not know.
fn strangers(prefix: &str, is_known: impl Fn(&str) -> bool) -> Vec<String> {
    let mut strangers = Vec::new();
    let mut seen = 0;
    for path in deploy_files() {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for word in words(&text, prefix) {
            seen += 1;
            if !is_known(word) {
                strangers.push(format!("{}: {word}", path.strip_prefix(root()).unwrap_or(&path).display()));
            }
        }
    }
    assert!(seen > 0, "no deploy file names anything that begins with {prefix}: were they moved?");
    strangers
}

#[test]
fn metrics_in_alerts_and_dashboards_exist() {
    let metrics = Metrics::new();
    let known: BTreeSet<_> = metrics.described().iter().map(|metric| metric.name.as_str()).collect();
    let is_known = |word: &str| {
        let parts = ["_bucket", "_sum", "_count"];
        // The prefix by itself, and the type of the event that a chart's test posts.
        ["retell_bridge_", "retell_bridge_test"].contains(&word)
            || known.contains(word)
            || parts.iter().any(|part| word.strip_suffix(part).is_some_and(|name| known.contains(name)))
    };
    let strangers = strangers("retell_bridge_", is_known);
    assert!(strangers.is_empty(), "no such metric (see src/metrics.rs):\n{}", strangers.join("\n"));
}

#[test]
fn variables_in_charts_and_compose_files_mean_settings() {
    // The image's, and the prefixes by themselves, which the chart looks for.
    let others = ["RETELL_BRIDGE_COMMIT", "RETELL_BRIDGE_", "RETELL_BRIDGE_KAFKA_PROPERTY_"];
    let is_known = |word: &str| others.contains(&word) || config::knows_variable(word);
    let strangers = strangers("RETELL_BRIDGE_", is_known);
    assert!(strangers.is_empty(), "no such setting (see `config schema`):\n{}", strangers.join("\n"));
}
