//! Whether this machine's clock is kept in step: signatures are believed for `signature_window`, and records carry times.

use super::{Check, Standing};

/// What the kernel says of its clock.
pub fn check() -> Check {
    // SAFETY: all of the structure is numbers, for which zero is a value, and zero modes ask without setting.
    let state = unsafe {
        let mut asked: libc::timex = std::mem::zeroed();
        libc::adjtimex(&mut asked)
    };
    judge(state)
}

fn judge(state: libc::c_int) -> Check {
    const ABOUT: &str = "clock";
    match state {
        libc::TIME_ERROR => {
            let cure = "run chrony or another NTP client; a clock that is five minutes off refuses every event";
            Check::new(Standing::Warn, ABOUT, "the kernel does not know it to be in step", cure)
        }
        refused if refused < 0 => Check::new(Standing::Unknown, ABOUT, "the kernel does not tell", ""),
        _ => Check::ok(ABOUT, "the kernel says that it is kept in step"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_nobody_keeps_is_a_warning_and_a_kernel_that_does_not_tell_is_none() {
        assert_eq!(judge(libc::TIME_OK).standing, Standing::Ok);
        assert_eq!(judge(libc::TIME_ERROR).standing, Standing::Warn);
        assert_eq!(judge(-1).standing, Standing::Unknown);
    }
}
