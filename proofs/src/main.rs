//! `proofs`: see `proofs --help`, and `docs/proofs.md`.

fn main() -> std::process::ExitCode {
    proofs::command::main()
}
