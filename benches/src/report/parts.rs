//! The table of parts: what each step of an event's way costs by itself.
//!
//! In: the rounds of `cost`. Out: Markdown; nothing where there are none. Never happens: a sum that is not that of the lines
//! marked as summed.

use serde_json::Value;

use crate::bodies::Size;
use crate::figures::{median, significant};
use crate::floors::parts::Part;

pub fn table(rounds: &[Value]) -> String {
    let floors: Vec<&Value> =
        rounds.iter().filter(|round| round["row"] == "cost" && round["parts"].is_string()).collect();
    if floors.is_empty() {
        return String::new();
    }
    let sizes = Size::PLAIN.map(Size::name);
    let mut text = format!(
        "\n### Parts\n\nMicroseconds of processor time for an event, medians of the rounds; bodies were made before the \
         clock started. Those marked + are the sum that the bridge is held against; what is \"in librdkafka's\" is a part of its line \
         and counted there, what is \"not done\" is told for comparison.\n\n\
         | part | | {} |\n| --- | --- | --- | --- | --- |\n",
        sizes.join(" | ")
    );
    let mut line = |name: &str, is_summed: bool, of: &dyn Fn(&Value) -> Option<f64>| {
        let cells = sizes.map(|size| {
            let mine = floors.iter().filter(|round| round["parts"] == size);
            let value = median(mine.filter_map(|round| of(round)));
            if value.is_finite() { significant(value) } else { "–".to_owned() }
        });
        text.push_str(&format!("| {name} | {} | {} |\n", if is_summed { "+" } else { "" }, cells.join(" | ")));
    };
    let field = |name: &'static str| move |round: &Value| round[name].as_f64();
    line("bare actix-web: body read, 204", true, &field("http_us"));
    line("bare actix-web with HMAC", false, &field("http_with_hmac_us"));
    for part in Part::ALL {
        let of = move |round: &Value| round["own_us"][part.name()].as_f64();
        line(part.name(), Part::OWN.contains(&part), &of);
    }
    line("journal alone: append, sync, read back", true, &field("journal_us"));
    line("librdkafka alone: the same records and settings", true, &field("librdkafka_us"));
    line("sum", false, &field("sum_us"));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_part_has_its_line_with_the_median_of_the_rounds() {
        let round = |cost: f64| {
            json!({
                "row": "cost", "parts": "8.6 kB", "http_us": cost, "own_us": { "BLAKE3": 4.5 }, "sum_us": 60.0,
            })
        };
        let table = table(&[round(9.0), round(11.0), round(30.0), json!({ "row": "cost", "receiver": "x" })]);
        assert!(table.contains("| bare actix-web: body read, 204 | + | – | 11.0 | – |"), "{table}");
        assert!(table.contains("| BLAKE3 | + | – | 4.50 | – |"), "{table}");
        assert!(table.contains("| CRC32C, twice |  | – | – | – |"), "{table}");
        assert_eq!(super::table(&[]), "");
    }
}
