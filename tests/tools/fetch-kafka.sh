#!/usr/bin/env bash
# Fetches what `cargo test --test kafka` needs of Java into .tools/kafka/: Apache Kafka's jars (by Maven, about 54 MB)
# and the tests' own reader, compiled. Does nothing when all of it is there in the wanted versions.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
source_dir="$root/tests/tools/kafka"
target_dir="$root/.tools/kafka"

need() { # need COMMAND WHAT-TO-INSTALL
    command -v "$1" >/dev/null 2>&1 && return
    echo "fetch-kafka: '$1' is missing. Install it: apt-get install $2" >&2
    exit 1
}
need java openjdk-17-jdk-headless
need javac openjdk-17-jdk-headless
need mvn maven
need sha256sum coreutils

major="$(javac -version 2>&1 | sed -E 's/^javac ([0-9]+).*/\1/')"
if [ "$major" -lt 17 ]; then
    echo "fetch-kafka: Java $major is too old, Kafka 4 needs 17. Install it: apt-get install openjdk-17-jdk-headless" >&2
    exit 1
fi

# The stamp names the versions and the reader by their content, and the compiler, whose classes another Java may refuse.
stamp="$(cat "$source_dir/pom.xml" "$source_dir"/src/*.java | sha256sum | cut -d' ' -f1) javac $major"
if [ -f "$target_dir/stamp" ] && [ "$(cat "$target_dir/stamp")" = "$stamp" ]; then
    exit 0
fi

echo "fetch-kafka: fetching Apache Kafka into .tools/kafka (once)" >&2
rm -rf "$target_dir"
mkdir -p "$target_dir/classes"
if ! mvn -q -B -f "$source_dir/pom.xml" dependency:copy-dependencies -DoutputDirectory="$target_dir/jars" >&2; then
    echo "fetch-kafka: Maven could not fetch Kafka. Is there a way to Maven Central (or a mirror in ~/.m2/settings.xml)?" >&2
    exit 1
fi
javac -d "$target_dir/classes" -cp "$target_dir/jars/*" "$source_dir"/src/*.java
echo "$stamp" >"$target_dir/stamp"
