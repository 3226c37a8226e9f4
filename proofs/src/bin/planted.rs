//! `proofs`, of a bridge that has the bug that the variable PLANTED_BUG names: to see that a proof catches it.

fn main() -> std::process::ExitCode {
    proofs::command::main()
}
