//! `retell-bridge schema`: what is in an event, for those who read the topics.
//!
//! In: a type, or none. Out: its JSON Schema on stdout; without a type the list of types. Never happens: a look at
//! settings, journal or Kafka.

use std::process::ExitCode;

use serde_json::{Map, Value};

use super::{Usage, output};
use crate::event::Kind;
use crate::schema;

/// Print the JSON Schema of an event type, or list the types.
///
/// Each schema stands by itself. Personal data is marked `x-personal-data`; unknown fields are allowed, because Retell adds
/// some without notice. docs/schemas.md says how they are meant.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  retell-bridge schema                                       the types, and what they are
  retell-bridge schema call_ended > call_ended.json
  retell-bridge schema --all | jq '.call_ended.title'
  retell-bridge schema --asyncapi > asyncapi.yaml            topics, keys, headers and messages")]
pub struct Args {
    /// The type, e.g. call_ended.
    #[arg(value_name = "TYPE", value_parser = parse_kind)]
    kind: Option<Kind>,
    /// All of them in one JSON object, by type.
    #[arg(long, conflicts_with = "kind")]
    all: bool,
    /// The AsyncAPI document of the topics; it refers to the files that the other calls print.
    #[arg(long, conflicts_with_all = ["kind", "all"])]
    asyncapi: bool,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match args.kind {
        _ if args.asyncapi => output::text(schema::ASYNCAPI)?,
        Some(kind) => output::line(format_args!("{:#}", document(kind)?))?,
        None if args.all => {
            let all = schema::KINDS.into_iter().map(|kind| Ok((kind.name().to_owned(), document(kind)?)));
            output::line(format_args!("{:#}", Value::from(all.collect::<Result<Map<_, _>, Usage>>()?)))?;
        }
        None => schema::KINDS.into_iter().try_for_each(list)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn document(kind: Kind) -> Result<Value, Usage> {
    schema::document(kind).ok_or_else(|| Usage(format!("{} has no schema", kind.name())))
}

/// A type, and the first sentence about it.
fn list(kind: Kind) -> std::io::Result<()> {
    let summary = schema::summary(kind);
    let first = summary.split_inclusive(". ").next().unwrap_or_default().trim();
    output::line(output::wrapped(&format!("{:<20}{first}", kind.name()), &" ".repeat(20)))
}

/// A type that has a schema.
fn parse_kind(text: &str) -> Result<Kind, String> {
    let kind = Kind::named(text);
    if kind != Kind::Other {
        return Ok(kind);
    }
    Err(format!("no type that is known; these are: {}", schema::KINDS.map(Kind::name).join(", ")))
}

#[cfg(test)]
mod tests;
