//! The command line: one file for each command. Each has its `Args` and a `run`, which returns the exit code or an error.
//!
//! In: arguments, environment, standard input. Out: results on stdout, everything else on stderr; an error is one line,
//! `retell-bridge: …`, with the cause and the cure. Exit codes: 0 done, 1 failed or "no", 2 wrong usage, 78 bad settings.
//!
//! Never happens: a key on the command line or the screen; a panic because the reader of a pipe left.

mod choice;
mod completions;
mod config;
mod dead_letters;
mod dev;
mod drain;
mod ending;
mod health;
mod journal;
mod key;
pub mod logging;
mod man;
mod online;
mod opened;
mod output;
mod replay;
mod samples;
mod schema;
mod send;
mod serve;
mod settings;
mod sign;
mod tail;
mod topics;
mod verify;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::config::ConfigErrors;
use crate::service::ServiceError;

/// Wrong usage.
const EXIT_USAGE: u8 = 2;
/// Bad settings; `EX_CONFIG` of sysexits.h.
const EXIT_CONFIG: u8 = 78;

/// Takes Retell AI webhooks, keeps them on disk before answering, and puts every event on Kafka.
#[derive(Parser)]
#[command(
    name = "retell-bridge",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  retell-bridge dev                          try it: nothing to install, nothing to set up
  RETELL_API_KEY=key_… retell-bridge serve   run it, with Kafka on localhost:9092
  retell-bridge config show                  what every setting is, and where it came from"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

// The first line of each command's `Args` is what `--help` says of it.
#[derive(Subcommand)]
enum Command {
    Serve(serve::Args),
    Dev(dev::Args),
    Send(send::Args),
    Sign(sign::Args),
    Verify(verify::Args),
    Config(config::Args),
    Topics(topics::Args),
    Tail(tail::Args),
    Journal(journal::Args),
    DeadLetters(dead_letters::Args),
    Replay(replay::Args),
    Drain(drain::Args),
    Schema(schema::Args),
    Health(health::Args),
    Version(version::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Wrong usage that only shows after the arguments were parsed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Parse, run, exit code.
pub fn main() -> ExitCode {
    match parse(std::env::args_os()) {
        Ok(cli) => run(&cli).unwrap_or_else(|error| report(&error)),
        Err(code) => code,
    }
}

/// The command line as typed; where it is none, all is said and the exit code is given.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    Cli::try_parse_from(words).map_err(|error| {
        let is_help = !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if is_help {
            error.exit();
        }
        output::complain(&one_line(&error.render().to_string()));
        ExitCode::from(EXIT_USAGE)
    })
}

/// What clap says in a paragraph for each thought.
fn one_line(said: &str) -> String {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let told = lines.filter(|line| !line.starts_with("Usage: ") && !line.starts_with("For more information"));
    let told = told.map(|line| line.trim_start_matches("error: ").trim_start_matches("tip: "));
    // "… were not provided:", and what was not, follow each other without a semicolon.
    told.fold(String::new(), |text, line| match text.chars().last() {
        None => line.to_owned(),
        Some(':') => format!("{text} {line}"),
        Some(_) => format!("{text}; {line}"),
    }) + "; see --help"
}

/// Runs one command.
pub fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Dev(args) => dev::run(args),
        Command::Send(args) => send::run(args),
        Command::Sign(args) => sign::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Config(args) => config::run(args),
        Command::Topics(args) => topics::run(args),
        Command::Tail(args) => tail::run(args),
        Command::Journal(args) => journal::run(args),
        Command::DeadLetters(args) => dead_letters::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Drain(args) => drain::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Health(args) => health::run(args),
        Command::Version(args) => version::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}

/// Says on stderr what went wrong, and which exit code that is.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if output::is_closed_pipe(error) {
        // The reader had enough.
        return ExitCode::SUCCESS;
    }
    if let Some(errors) = error.downcast_ref::<ConfigErrors>() {
        errors.0.iter().for_each(output::complain);
        return ExitCode::from(EXIT_CONFIG);
    }
    output::complain(&format!("{error:#}"));
    match error.downcast_ref::<ServiceError>() {
        Some(cause) if cause.is_bad_configuration() => ExitCode::from(EXIT_CONFIG),
        _ if error.is::<Usage>() => ExitCode::from(EXIT_USAGE),
        _ => ExitCode::FAILURE,
    }
}

/// Every command by its words (`topics plan`), for checks of documents.
pub fn commands() -> Vec<String> {
    let command = Cli::command();
    let names = command.get_subcommands().flat_map(|each| {
        let below: Vec<_> =
            each.get_subcommands().map(|below| format!("{} {}", each.get_name(), below.get_name())).collect();
        if below.is_empty() { vec![each.get_name().to_owned()] } else { below }
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        fn look(command: &clap::Command, path: &str) {
            for each in command.get_subcommands() {
                let path = format!("{path} {}", each.get_name());
                assert!(each.get_about().is_some(), "{path} has no about");
                let help = each.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains(&path), "{path} shows no example of itself:\n{help}");
                look(each, &path);
            }
        }
        look(&Cli::command(), "retell-bridge");
    }

    #[test]
    fn wrong_usage_is_told_in_one_line() {
        for (words, told) in [
            (
                "sign --keyfile f",
                "unexpected argument '--keyfile' found; a similar argument exists: '--key-file'; see --help",
            ),
            ("verify", "the following required arguments were not provided: --signature <VALUE>; see --help"),
            ("dev --port 99999", "invalid value '99999' for '--port <N>': 99999 is not in 0..=65535; see --help"),
        ] {
            let words = std::iter::once("retell-bridge").chain(words.split(' '));
            let error = Cli::try_parse_from(words).err().unwrap();
            assert_eq!(one_line(&error.render().to_string()), told);
        }
    }

    #[test]
    fn every_documented_command_is_there() {
        let documented = "serve, dev, send, sign, verify, config check, config show, config schema, topics plan, \
            topics apply, tail, journal inspect, journal verify, journal find, dead-letters list, dead-letters show, dead-letters retry, replay, drain, schema, health, \
            version, completions, man";
        let commands = commands();
        for command in documented.split(", ") {
            assert!(commands.iter().any(|each| each == command), "{command} is missing in {commands:?}");
        }
    }
}
