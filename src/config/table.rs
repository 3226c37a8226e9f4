//! The settings as a Markdown table, for the README. A test holds the README to it.

use serde_json::Value;

use super::shape::{ANY, joined, schema};

/// One row for each key: key, default, meaning.
pub fn markdown() -> String {
    let mut rows = String::from("| key | default | meaning |\n| --- | --- | --- |\n");
    add_rows(&schema(), "", &mut rows);
    rows
}

fn add_rows(table: &Value, path: &str, rows: &mut String) {
    for (name, key) in table["properties"].as_object().into_iter().flatten() {
        let path = joined(path, name);
        if key["properties"].is_object() {
            add_rows(key, &path, rows);
        } else if key["additionalProperties"]["properties"].is_object() {
            add_rows(&key["additionalProperties"], &joined(&path, ANY), rows);
        } else {
            let default = match &key["default"] {
                Value::Null => String::new(),
                Value::String(text) if text.is_empty() => String::new(),
                Value::String(text) => format!("`{text}`"),
                other => format!("`{other}`"),
            };
            let meaning = key["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
            rows.push_str(&format!("| `{path}` | {default} | {meaning} |\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_row_with_default_and_meaning() {
        let table = markdown();
        for row in [
            "| `listen` | `0.0.0.0:8080` | Address and port of the intake. Port 0 takes a free one and logs it. |",
            "| `intake.body_max` | `8MiB` |",
            "| `sources.<name>.keys` | `[]` | API keys",
            "| `kafka.properties` | `{}` |",
            "| `topics.all` |  |",
            "| `topics.types` | `all` |",
            "| `topics.partitions` | `6` |",
            "| `shutdown.deadline` | `25s` |",
        ] {
            assert!(table.contains(row), "{row} is not in\n{table}");
        }
        assert!(table.lines().all(|line| !line.ends_with("|  |")), "a key has no meaning:\n{table}");
    }
}
