#!/usr/bin/env bash
# usage: examples/kafka.sh               one node of Apache Kafka on localhost:9092 for trying the examples, without a
#                                        container. Ctrl-C or SIGTERM ends it, and its data go.
#        examples/kafka.sh topic NAME    makes a topic there for dead letters, which can be as large as the bridge's records
# Needs Java 17 and Maven. Another port: KAFKA_PORT=19092.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
port="${KAFKA_PORT:-9092}"
"$root/tests/tools/fetch-kafka.sh"
kafka=(java -XX:+UseSerialGC -Dlog4j2.configurationFile="$root/examples/kafka.log4j2.properties" -cp "$root/.tools/kafka/jars/*")
if [ "${1:-}" = topic ]; then
    exec "${kafka[@]}" org.apache.kafka.tools.TopicCommand --bootstrap-server "localhost:$port" --create --topic "$2" \
        --partitions 1 --config max.message.bytes=9437184
fi

data="$(mktemp -d)"
server=
ended() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    wait
    rm -rf "$data"
}
trap ended EXIT
trap 'exit 0' INT TERM

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
# A topic that is made by asking for it has one partition, and takes no record of more than 1 MiB.
auto.create.topics.enable=false
EOF
id="$("${kafka[@]}" kafka.tools.StorageTool random-uuid)"
"${kafka[@]}" kafka.tools.StorageTool format --standalone -t "$id" -c "$data/server.properties" >/dev/null
"${kafka[@]}" -Xmx512m kafka.Kafka "$data/server.properties" &
server=$!
until (exec 3<>"/dev/tcp/localhost/$port") 2>/dev/null; do
    kill -0 "$server" 2>/dev/null || wait "$server" # its own exit code, and the end of this script
    sleep 0.5
done
echo "ready: Apache Kafka on localhost:$port; Ctrl-C ends it"
wait "$server"
