# `docker compose up` for real, over podman's socket: source it. Images that only a registry has are replaced by local ones
# of the same name: Apache Kafka from its jars, Prometheus from the binary that was built here. Grafana cannot be had here and is left out.

compose_project=retell-bridge-test
compose() {
    env DOCKER_HOST="unix://$scratch/podman.sock" DOCKER_CONFIG="$scratch/docker" RETELL_API_KEY=key_made_up \
        COMPOSE_DISABLE_ENV_FILE=1 .tools/venv/bin/docker-compose -p "$compose_project" -f docker-compose.yml --profile sample "$@"
}

stand_in() { # stand_in NAME FOLDER: an image of that name from the folder's Containerfile
    buildah_here bud --pull-never --format docker --layers=false -t "$1" -f "$2/Containerfile" "$2"
}
stand_ins() {
    local kafka="$scratch/kafka-image" prometheus="$scratch/prometheus-image" java
    java="$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")"
    mkdir -p "$kafka/jvm" "$prometheus"
    tar -C "$java" -ch --exclude src.zip . | tar -C "$kafka/jvm" -x
    cp -r .tools/kafka/jars tests/containers/kafka-image.sh "$kafka"
    printf '%s\n' "FROM localhost/builder:bookworm" "COPY jvm /opt/jvm" "COPY jars /opt/kafka/libs" \
        "COPY kafka-image.sh /opt/kafka/bin/kafka-broker-api-versions.sh" \
        'CMD ["/opt/kafka/bin/kafka-broker-api-versions.sh", "run"]' >"$kafka/Containerfile"
    stand_in "$(image_of kafka)" "$kafka"
    cp .tools/prometheus/prometheus "$prometheus/prometheus"
    # The image's own wget, as far as its health check needs it.
    printf '%s\n' '#!/bin/bash' 'exec 3<>/dev/tcp/localhost/9090' \
        'printf "GET /-/ready HTTP/1.0\r\n\r\n" >&3' 'head -n 1 <&3 | grep -q " 200 "' >"$prometheus/wget"
    chmod +x "$prometheus/wget"
    printf '%s\n' "FROM localhost/builder:bookworm" "COPY prometheus wget /usr/bin/" \
        'CMD ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]' \
        >"$prometheus/Containerfile"
    stand_in "$(image_of prometheus)" "$prometheus"
    podman_here tag localhost/retell-bridge:test docker.io/library/retell-bridge:local localhost/retell-bridge:local
}
image_of() { compose config --format json | .tools/venv/bin/python -c "import json, sys; print(json.load(sys.stdin)['services']['$1']['image'])"; }

socket_listens() {
    # Not by `podman_here`: a function in the background is a shell of its own, and killing that would leave podman.
    podman "${store[@]}" system service --time 0 "unix://$scratch/podman.sock" >"$scratch/podman.log" 2>&1 &
    echo $! >"$scratch/podman.pid"
    for _ in $(seq 50); do [ -S "$scratch/podman.sock" ] && return; sleep 0.1; done
    return 1
}
# Nobody asks for health without systemd.
play_the_timer() {
    local each
    while sleep 2; do
        for each in $(podman_here ps --filter "label=com.docker.compose.project=$compose_project" --format '{{.ID}}'); do
            podman_here healthcheck run "$each" || true
        done
    done >/dev/null 2>&1
}
services_come_up() {
    play_the_timer &
    local timer=$! code=0
    compose up --detach --no-build --pull never --wait --wait-timeout 240 kafka topics bridge prometheus || code=$?
    [ "$code" -eq 0 ] || { compose ps -a && compose logs --tail 10; } || true
    compose up --detach --no-build --pull never --no-deps sender || code=$?
    kill "$timer"
    return "$code"
}
compose_down() {
    if [ -f "$scratch/podman.pid" ]; then
        compose down -v -t 5 >/dev/null 2>&1 || true
        kill "$(cat "$scratch/podman.pid")" 2>/dev/null || true
    fi
}
sample_events_arrive() {
    for _ in $(seq 60); do
        curl -sf http://127.0.0.1:9464/metrics >"$scratch/compose-metrics" || true
        if grep -qE '^retell_bridge_events_published_total.*call_analyzed"\} [1-9]' "$scratch/compose-metrics"; then return; fi
        sleep 1
    done
    grep '^retell_bridge_events' "$scratch/compose-metrics"
    return 1
}
prometheus_has_the_target_up() {
    for _ in $(seq 60); do
        if curl -s 'http://127.0.0.1:9090/api/v1/query?query=up' | grep -q '"job":"retell-bridge"},"value":\[[0-9.]*,"1"\]'; then
            curl -s http://127.0.0.1:9090/api/v1/rules | grep -q RetellBridgeKafkaDown
            return
        fi
        sleep 1
    done
    curl -s 'http://127.0.0.1:9090/api/v1/targets'
    return 1
}
