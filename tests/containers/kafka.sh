# One node of Apache Kafka on loopback, from the jars in .tools/kafka: source it.

kafka_start() { # kafka_start FOLDER: waits until it answers; its address is in $kafka_broker
    local classes=".tools/kafka/jars/*" controller
    kafka_broker="127.0.0.1:$((20000 + RANDOM % 6000))" controller="127.0.0.1:$((26000 + RANDOM % 6000))"
    mkdir -p "$1"
    cat >"$1/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=$controller
listeners=PLAINTEXT://$kafka_broker,CONTROLLER://$controller
advertised.listeners=PLAINTEXT://$kafka_broker,CONTROLLER://$controller
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$1/data
offsets.topic.replication.factor=1
auto.create.topics.enable=false
END
    java -cp "$classes" kafka.tools.StorageTool format --standalone -t cmV0ZWxsLWJyaWRnZS0wMQ -c "$1/server.properties" >"$1/log" 2>&1
    java -Xmx512m -XX:+UseSerialGC -cp "$classes" kafka.Kafka "$1/server.properties" >>"$1/log" 2>&1 &
    kafka_pid=$!
    for _ in $(seq 60); do
        java -cp "$classes" org.apache.kafka.tools.TopicCommand --bootstrap-server "$kafka_broker" --list >/dev/null 2>&1 && return
    done
    tail -n 20 "$1/log" && return 1
}
kafka_pause() { kill -STOP "$kafka_pid"; }
kafka_go_on() { kill -CONT "$kafka_pid"; }
kafka_stop() {
    [ -n "${kafka_pid-}" ] || return 0
    # Told twice, or dead already: the clean-up at the end goes on all the same.
    kill -CONT "$kafka_pid" && kill -9 "$kafka_pid" || true
    kafka_pid=
} 2>/dev/null
