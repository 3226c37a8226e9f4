#!/bin/bash
# In the stand-in for apache/kafka: `run` starts a broker from the environment as the official image does (KAFKA_LOG_DIRS is
# log.dirs); anything else asks one whether it answers, as the script of this name does.
set -euo pipefail
export PATH="/opt/jvm/bin:$PATH"

if [ "${1-}" != run ]; then
    exec java -Xmx128m -cp '/opt/kafka/libs/*' org.apache.kafka.tools.BrokerApiVersionsCommand "$@"
fi
properties="$(mktemp)"
while IFS='=' read -r name value; do
    name="${name#KAFKA_}"
    echo "$(tr 'A-Z_' 'a-z.' <<<"$name")=$value" >>"$properties"
done < <(env | grep '^KAFKA_')
java -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format --ignore-formatted -t "$CLUSTER_ID" -c "$properties"
exec java -Xmx512m -XX:+UseSerialGC -cp '/opt/kafka/libs/*' kafka.Kafka "$properties"
