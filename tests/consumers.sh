#!/usr/bin/env bash
# usage: tests/consumers.sh [CONSUMER...]
# Runs the consumers of examples/ (all, or those named) against a real Apache Kafka and a real bridge: 5,000 events, out of
# order and repeated, the bridge killed in the middle, and each consumer too. One line a check; exit code 1 when one fails.
# Builds them first. An absent tool is a failure, never a skip. What it checks is written down in tests/consumers/main.py.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(python typescript rust java go forward)
log="$(mktemp)"
trap 'rm -f "$log"' EXIT

failed() { # failed WHAT: with the end of what was said
    tail -n 20 "$log" | sed 's/^/      /'
    echo "FAIL  $1"
    printf '\n0 passed, 1 failed\n'
    exit 1
}
build() { # build WHAT COMMAND...
    local began=$SECONDS
    "${@:2}" >"$log" 2>&1 || failed "build: $1"
    echo "      built: $1, $((SECONDS - began)) s"
}

# The rig itself runs in the environment of the Python consumer, so that one is always built.
build_python() {
    local wanted folder=examples/python/.venv
    wanted="$(sha256sum <examples/python/requirements.txt)"
    [ -f "$folder/stamp" ] && [ "$(cat "$folder/stamp")" = "$wanted" ] && return
    rm -rf "$folder"
    python3 -m venv "$folder" &&
        "$folder/bin/pip" install --quiet --disable-pip-version-check -r examples/python/requirements.txt &&
        echo "$wanted" >"$folder/stamp"
}
build_typescript() { npm ci --prefix examples/typescript --no-audit --no-fund && npm run build --prefix examples/typescript; }
# Both Rust examples into one folder: librdkafka is built once.
cargo_build() { CARGO_TARGET_DIR=target/examples cargo build --locked --manifest-path "examples/$1/Cargo.toml"; }
build_rust() { cargo_build rust; }
build_forward() { cargo_build forward; }
build_java() { mvn -q -B -f examples/java/pom.xml package; }
build_go() { (cd examples/go && go build -o bin/consumer .); }

# Debian's Go and Node are older than go.mod and package.json ask for.
advice=(
    "java: apt-get install openjdk-17-jdk-headless" "mvn: apt-get install maven" "go: 1.26 or newer, https://go.dev/dl"
    "node: 20.19.4 or newer, https://nodejs.org/en/download" "npm: it comes with Node" "python3: apt-get install python3-venv"
    "setpriv: apt-get install util-linux"
)
for tool in "${advice[@]}"; do
    type -P "${tool%%:*}" >/dev/null || {
        echo "'${tool%%:*}' is missing. Install it: ${tool#*: }" >"$log"
        failed "tool: ${tool%%:*}"
    }
done
build "the bridge" cargo build
build "python, and the rig" build_python
for name in "${names[@]}"; do
    [ "$name" = python ] || build "$name" "build_$name"
done
examples/python/.venv/bin/python tests/consumers/main.py "${names[@]}"
