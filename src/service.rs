//! The bridge as a whole: start order and stop order, side by side (stub until it lands).

use crate::config::Config;

/// Why the bridge did not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The parts are not assembled yet.
    #[error("`serve` is not assembled in this build")]
    NotAssembled,
}

impl ServiceError {
    /// Whether the settings are to blame (exit code 78) and not the moment (exit code 1).
    pub fn is_bad_configuration(&self) -> bool {
        false
    }
}

/// Runs the bridge until it is told to stop; returns when all is on disk.
pub fn run(_config: Config) -> Result<(), ServiceError> {
    Err(ServiceError::NotAssembled)
}
