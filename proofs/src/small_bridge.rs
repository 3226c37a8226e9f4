//! The bridge as `serve` runs it, with small segments: a scenario of a few hundred events then rolls, closes and frees
//! some of them. `small-bridge SETTINGS SEGMENT_BYTES SIZE_MAX_BYTES`; everything else comes from the settings.

use std::ffi::OsString;
use std::process::ExitCode;

use retell_bridge::config::{Config, Inputs};
use retell_bridge::{cli, service};

/// See the module.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let number = |text: &OsString| text.to_str()?.parse::<u64>().ok();
    let [settings, segment_bytes, size_max_bytes] = &arguments[..] else { return wrong_usage() };
    let (Some(segment_bytes), Some(size_max_bytes)) = (number(segment_bytes), number(size_max_bytes)) else {
        return wrong_usage();
    };
    let inputs = Inputs { files: vec![settings.into()], ..Inputs::default() };
    let mut config = match Config::load(&inputs) {
        Ok(loaded) => loaded.config,
        Err(errors) => return cli::report(&errors.into()),
    };
    (config.journal.segment_bytes, config.journal.size_max_bytes) = (segment_bytes, size_max_bytes);
    cli::logging::start(&config.log);
    match service::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error.into()),
    }
}

fn wrong_usage() -> ExitCode {
    eprintln!("usage: small-bridge SETTINGS SEGMENT_BYTES SIZE_MAX_BYTES");
    ExitCode::from(2)
}
