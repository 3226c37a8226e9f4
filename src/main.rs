//! `retell-bridge`: see [`retell_bridge::cli`].

fn main() -> std::process::ExitCode {
    retell_bridge::cli::main()
}
