#!/usr/bin/env bash
# One node of Apache Kafka on localhost:9092 for trying the examples, without a container. Ctrl-C ends it, and its data go.
# Needs Java 17 and Maven. Another port: KAFKA_PORT=19092.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
port="${KAFKA_PORT:-9092}"
"$root/tests/tools/fetch-kafka.sh"
data="$(mktemp -d)"
trap 'rm -rf "$data"' EXIT

cat >"$data/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:$((port + 1))
listeners=PLAINTEXT://localhost:$port,CONTROLLER://localhost:$((port + 1))
controller.listener.names=CONTROLLER
log.dirs=$data/log
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
EOF
kafka() { java -XX:+UseSerialGC -Dlog4j2.configurationFile="$root/tests/tools/kafka/log4j2.properties" -cp "$root/.tools/kafka/jars/*" "$@"; }
kafka kafka.tools.StorageTool format --standalone -t "$(kafka kafka.tools.StorageTool random-uuid)" \
    -c "$data/server.properties" >/dev/null
echo "Apache Kafka on localhost:$port; Ctrl-C ends it"
kafka -Xmx512m kafka.Kafka "$data/server.properties"
