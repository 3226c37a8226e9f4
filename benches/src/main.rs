//! `bench`: see `bench --help`, and `docs/performance/`.

fn main() -> std::process::ExitCode {
    bench::command::main()
}
