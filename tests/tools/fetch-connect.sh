#!/usr/bin/env bash
# Fetches Kafka Connect's file connectors, which Apache Kafka ships beside its own jars, into .tools/connect/ by Maven, in
# the version of tests/tools/kafka/pom.xml. Does nothing when they are there in that version.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
folder="$root/.tools/connect"
version="$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$root/tests/tools/kafka/pom.xml")"

[ -f "$folder/stamp" ] && [ "$(cat "$folder/stamp")" = "$version" ] && exit 0
echo "fetch-connect: fetching org.apache.kafka:connect-file:$version into .tools/connect (once)" >&2
rm -rf "$folder" && mkdir -p "$folder"
if ! mvn -q -B dependency:get -Dtransitive=false "-Dartifact=org.apache.kafka:connect-file:$version" >&2 ||
    ! mvn -q -B dependency:copy "-Dartifact=org.apache.kafka:connect-file:$version" "-DoutputDirectory=$folder/file" >&2; then
    echo "fetch-connect: Maven could not fetch connect-file $version. Is there a way to Maven Central?" >&2
    exit 1
fi
echo "$version" >"$folder/stamp"
