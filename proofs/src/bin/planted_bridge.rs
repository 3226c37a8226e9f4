//! The whole `retell-bridge`, with the bug that the variable PLANTED_BUG names.

fn main() -> std::process::ExitCode {
    retell_bridge::cli::main()
}
