//! A panic that would leave the process standing.
//!
//! In: a thread's name. Out: an end of the process at its first panic, told before, with the exit code of a panic. Never
//! happens: a runtime whose only thread is gone, so that nothing is polled any more, in a process that goes on: nobody
//! starts that again.

use std::panic;

/// As Rust's own end by a panic.
const PANICKED: i32 = 101;

/// From now on a panic of a thread of that name ends the process. Tasks' panics are among them: each is a bug, and what
/// was acknowledged is on disk.
pub(super) fn end_the_process(thread: &'static str) {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        tell(panicked);
        if std::thread::current().name() == Some(thread) {
            std::process::exit(PANICKED);
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    /// Set in the process that is to end.
    const VICTIM: &str = "RETELL_BRIDGE_TEST_PANICS";

    #[test]
    fn a_panic_of_the_named_thread_ends_the_process_and_one_of_another_does_not() {
        if std::env::var_os(VICTIM).is_some() {
            super::end_the_process("named");
            let panic_as = |name: &str| {
                let thread = std::thread::Builder::new().name(name.to_owned()).spawn(|| panic!("made up"));
                thread.unwrap().join().unwrap_err();
            };
            panic_as("another");
            println!("goes on");
            panic_as("named");
            println!("not reached");
            std::process::exit(0);
        }
        let this = "service::panics::tests::a_panic_of_the_named_thread_ends_the_process_and_one_of_another_does_not";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let ended = child.args(["--exact", this, "--nocapture"]).env(VICTIM, "1").output().unwrap();
        let told = String::from_utf8(ended.stdout).unwrap();
        assert!(told.contains("goes on") && !told.contains("not reached"), "{told}");
        assert_eq!(ended.status.code(), Some(super::PANICKED));
    }
}
