//! Where the fetched tools lie. A missing one fails the test with the sentence that says what to do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static FOLDERS: AtomicU32 = AtomicU32::new(0);

pub fn root() -> &'static Path {
    let support = Path::new(env!("CARGO_MANIFEST_DIR"));
    support.ancestors().nth(2).expect("this crate lies in tests/support")
}

/// Where cargo has put what it built together with this program.
fn built() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    let folder = program.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") {
        folder.parent().expect("deps lies in a folder").to_owned()
    } else {
        folder.to_owned()
    }
}

/// A binary that was built together with this program.
pub fn binary(name: &str) -> PathBuf {
    let path = built().join(name);
    assert!(path.exists(), "{} is not there: build it first", path.display());
    path
}

/// `java` with Kafka's jars and the tests' reader on its class path.
pub fn java() -> Command {
    let kafka = fetched(".tools/kafka", "tests/tools/fetch-kafka.sh");
    let mut command = Command::new("java");
    command.arg("-XX:+UseSerialGC").arg("-XX:TieredStopAtLevel=1");
    command.arg(format!("-Dlog4j2.configurationFile={}", root().join("tests/tools/kafka/log4j2.properties").display()));
    command.arg("-cp").arg(format!("{0}/classes:{0}/jars/*", kafka.display()));
    command
}

/// Node with Retell's SDK beside it.
pub fn node_sdk() -> (PathBuf, Command) {
    (fetched(".tools/sdk-node", "tests/tools/fetch-sdks.sh"), Command::new("node"))
}

/// Python of the environment that has Retell's SDK.
pub fn python_sdk() -> Command {
    Command::new(fetched(".tools/sdk-python", "tests/tools/fetch-sdks.sh").join("bin/python"))
}

/// Prometheus: the system's where it has one, as `tests/tools/fetch-deploy.sh` goes by; else from the same package.
pub fn prometheus() -> Command {
    let fetched = root().join(".tools/promtool/usr/bin/prometheus");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let of_system = std::env::split_paths(&path).map(|folder| folder.join("prometheus")).find(|file| file.is_file());
    let program = of_system.unwrap_or(fetched);
    assert!(program.is_file(), "there is no Prometheus: run tests/tools/fetch.sh deploy first");
    Command::new(program)
}

/// Valgrind: the system's where it has one, else what was unpacked from the same package.
pub fn valgrind() -> Command {
    let unpacked = root().join(".tools/valgrind/usr");
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join("valgrind").is_file()) {
        return Command::new("valgrind");
    }
    assert!(unpacked.is_dir(), "there is no valgrind: run tests/tools/fetch-valgrind.sh first");
    let mut command = Command::new(unpacked.join("bin/valgrind"));
    command.env("VALGRIND_LIB", unpacked.join("libexec/valgrind"));
    command
}

/// A new, empty folder for one test's files, on the disk that holds the target folder.
///
/// Named after this process, so that what an interrupted run left can be told and removed.
pub fn folder(name: &str) -> PathBuf {
    let base = &built().parent().expect("a profile's folder lies in the target folder").join("tmp");
    let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
    if number == 0 {
        remove_leftovers(base);
    }
    let folder = base.join(format!("{}-{number}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// A folder that outlives this process, for what a failure is to be understood by: no later run removes it.
pub fn kept(name: &str) -> PathBuf {
    let base = built().parent().expect("a profile's folder lies in the target folder").join("tmp");
    let folder = base.join(format!("kept-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

fn remove_leftovers(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.split('-').next().and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn fetched(folder: &str, script: &str) -> PathBuf {
    let path = root().join(folder);
    assert!(path.join("stamp").exists(), "{folder} is not there: run {script} first");
    path
}
