//! [`proofs::small_bridge`], with the bug that the variable PLANTED_BUG names.

fn main() -> std::process::ExitCode {
    proofs::small_bridge::main()
}
