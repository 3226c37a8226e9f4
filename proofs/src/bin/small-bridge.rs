//! See [`proofs::small_bridge`].

fn main() -> std::process::ExitCode {
    proofs::small_bridge::main()
}
