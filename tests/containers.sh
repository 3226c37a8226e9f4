#!/usr/bin/env bash
# usage: tests/containers.sh   (`make test-containers`)
#
# The image, built from deploy/Dockerfile on local base images and run as Kubernetes would: what it holds and does not hold;
# read-only, without capabilities, within 96 MiB at 500 events a second; a volume that really fills up; kill -9; its health
# check; a Pod lifted from the chart; `docker compose up`. Beside it, Prometheus 3 scrapes a bridge. Apache Kafka runs for
# all of it. One line a check; exit code 1 when one fails. Needs root and what `tests/tools/fetch.sh kafka deploy prometheus
# containers` fetches; every port is on loopback.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scratch="$(mktemp -d)"
fetch="tests/tools/fetch.sh kafka deploy prometheus containers"
source tests/tools/check.sh
source tests/containers/podman.sh
source tests/containers/kafka.sh
source tests/containers/compose.sh
image=localhost/retell-bridge:test
intake=http://127.0.0.1:18080/webhook admin=http://127.0.0.1:19464

# What this run has made, or an earlier one that was cut off has left.
clean_up() {
    local volume
    podman_here rm -f -t 0 bridge || true
    podman_here pod rm -f -t 0 lifted || true
    podman_here rm -f -t 0 $(podman_here ps -aq --filter "label=com.docker.compose.project=$compose_project") || true
    # One at a time: the first that is not there would keep the others.
    for volume in journal journal-lifted r-retell-bridge r-retell-bridge-keys "$compose_project"_{journal,kafka,prometheus}; do
        podman_here volume rm -f "$volume" || true
    done
    podman_here network rm "${compose_project}_default" || true
} >/dev/null 2>&1
leave() {
    clean_up
    kafka_stop
    compose_down
    umount "$scratch/small" 2>/dev/null || true
    rm -rf "$scratch"
}
trap leave EXIT

inspect() { podman_here image inspect "$image" --format "$1"; }
equals() { [ "$1" = "$2" ] || { echo "found: $1, wanted: $2" && return 1; }; }

is_built() { tests/containers/build.sh; }
holds_what_it_says() {
    equals "$(inspect '{{.Config.User}}')" 65532:65532
    equals "$(inspect '{{json .Config.Entrypoint}}')" '["/usr/local/bin/retell-bridge"]'
    equals "$(inspect '{{json .Config.Cmd}}')" '["serve"]'
    equals "$(inspect '{{index .Config.Labels "org.opencontainers.image.version"}}')" 0.0.0-test
    equals "$(inspect '{{index .Config.Labels "org.opencontainers.image.revision"}}')" "$(git rev-parse HEAD)"
    inspect '{{json .HealthCheck.Test}}' | grep -F '"health"'
}
# On the base that the Dockerfile names, some 24 MB, it must stay under 60 MB.
is_small() {
    local ours
    ours=$(($(inspect '{{.Size}}') - $(podman_here image inspect localhost/runtime:bookworm --format '{{.Size}}')))
    [ "$ours" -lt 36000000 ] || { echo "our layers have $ours bytes" && return 1; }
}
has_no_shell() {
    local shell
    for shell in sh bash /bin/sh busybox; do
        podman_here run --rm --network none --entrypoint "$shell" "$image" -c true >"$scratch/shell" 2>&1 && return 1
        grep -q "executable file.*not found\|no such file" "$scratch/shell" || { cat "$scratch/shell" && return 1; }
    done
}
version_tells_what_it_is_made_of() {
    local said feature
    said="$(podman_here run --rm --network none "$image" version --json)"
    for feature in ssl sasl_scram sasl_oauthbearer zstd; do grep -q "\"$feature\"" <<<"$said"; done
    grep -q "$(git rev-parse --short=7 HEAD)" <<<"$said"
}

passes_the_release() {
    CONTAINERS="podman ${store[*]}" tests/tools/try-image.sh "$image" "$(sed -n 's/^version: //p' helm/retell-bridge/Chart.yaml)" \
        "$(git rev-parse HEAD)"
}

# As the chart runs it, with Kafka and ports of its own.
run_bridge() { # run_bridge ARGUMENTS...: of podman; settings by the environment
    podman_here run --name bridge --detach --network host --read-only --cap-drop ALL --security-opt no-new-privileges \
        --env RETELL_API_KEY=key_made_up --env RETELL_BRIDGE_LISTEN=127.0.0.1:18080 \
        --env RETELL_BRIDGE_ADMIN__LISTEN=127.0.0.1:19464 --env RETELL_BRIDGE_KAFKA__BROKERS="$kafka_broker" \
        --env RETELL_BRIDGE_JOURNAL__SIZE_MAX=1GiB "$@" "$image"
    is_ready
}
is_ready() { # is_ready [SECONDS]
    for _ in $(seq $((${1:-20} * 5))); do
        curl -sf "$admin/readyz" && return
        sleep 0.2
    done
    podman_here logs bridge 2>&1 | tail -n 20
    return 1
}
api_key=key_made_up
# Generous: a machine that builds beside this took more than 3 minutes to fill 400 MB.
send() { RETELL_API_KEY="$api_key" timeout 600 "$sender" send --url "$intake" "$@"; }
end_bridge() { podman_here rm -f -t 40 bridge; }

# Unlike 2, with which tests/kafka/watched.rs runs otherwise, it refuses what has a content type that it does not know.
prometheus_3_scrapes() {
    PATH="$PWD/.tools/prometheus:$PATH" cargo test --quiet --test kafka watched -- --nocapture >"$scratch/watched" 2>&1 ||
        { tail -n 60 "$scratch/watched" && return 1; }
    grep "^scraped by Prometheus 3\." "$scratch/watched"
}
topics_are_there() {
    podman_here run --rm --network host --env RETELL_API_KEY=key_made_up --env RETELL_BRIDGE_KAFKA__BROKERS="$kafka_broker" \
        "$image" topics apply
}
# 500 events a second for 20 s: 495 of a few kB, 5 of 0.8 MB. The limit is the kernel's, which ends what goes above it.
stays_within_96_mebibytes() {
    run_bridge --memory 96m --memory-swap 96m --volume journal:/var/lib/retell-bridge
    send call_ended --minutes 45 --rate 5 --count 100 --connections 8 --quiet >"$scratch/large" &
    send call_started call_ended call_analyzed --minutes 0.5 --rate 495 --count 3300 --quiet --until-published "$admin"
    wait $!
    cat "$scratch/large"
    equals "$(podman_here inspect bridge --format '{{.State.Running}} {{.State.OOMKilled}} {{.RestartCount}}')" "true false 0"
    curl -sf "$admin/metrics" | grep process_resident_memory_bytes
}
health_check_tells_ready() { podman_here healthcheck run bridge; }
# What was answered before the kill is published by the next life, which finds the journal on the volume.
survives_kill_9() {
    kafka_pause
    send call_started call_ended --count 200 --quiet
    podman_here kill -s KILL bridge
    podman_here start bridge
    is_ready
    kafka_go_on
    send retell_bridge_test --until-published "$admin"
    curl -sf "$admin/metrics" | grep '^retell_bridge_events_published_total.*call_started' | grep -E ' (2[0-9]{2}|[3-9][0-9]{2})$'
    end_bridge
}
# Full is 503 and not ready, never an end; with Kafka back it takes events again, and every 2xx of before is published.
fills_up_and_comes_back() {
    kafka_pause
    truncate -s 400M "$scratch/small.img"
    mkfs.ext4 -q "$scratch/small.img"
    mkdir "$scratch/small"
    mount -o loop "$scratch/small.img" "$scratch/small"
    mkdir "$scratch/small/bridge"
    chown 65532:65532 "$scratch/small/bridge"
    run_bridge --volume "$scratch/small/bridge:/var/lib/retell-bridge"
    if send call_ended --minutes 30 --count 1000 --retries 0 --quiet >"$scratch/filled" 2>&1; then
        echo "1,000 events of half a megabyte did not fill 400 MB" && return 1
    fi
    grep "503" "$scratch/filled" || { tail "$scratch/filled" && return 1; }
    equals "$(podman_here inspect bridge --format '{{.State.Running}}')" true
    if podman_here healthcheck run bridge; then echo "full, and healthy" && return 1; fi
    kafka_go_on
    # A Kafka that stood still for minutes takes its time to be one again.
    is_ready 120
    send call_ended --minutes 30 --count 5 --until-published "$admin" --within 2m
    end_bridge
    umount "$scratch/small"
}
a_lifted_pod_takes_events() {
    .tools/helm4/helm template r helm/retell-bridge --values helm/retell-bridge/ci/inline-keys-values.yaml \
        --set config.kafka.brokers="$kafka_broker" --set image.repository=localhost/retell-bridge --set image.tag=test \
        >"$scratch/rendered.yaml"
    .tools/venv/bin/python tests/containers/lifted.py "$scratch/rendered.yaml" >"$scratch/pod.yaml"
    podman_here play kube --network host "$scratch/pod.yaml"
    intake=http://127.0.0.1:8080/webhook admin=http://127.0.0.1:9464 api_key=key_made_up_old
    is_ready
    send call_started --count 20 --quiet --until-published "$admin"
    podman_here pod rm -f -t 40 lifted
}

# The compose file's ports and the run's own. Somebody else's listener would look like a bridge that does not start.
ports_are_free() {
    local port taken=""
    for port in 8080 9090 9092 9464 18080 19464; do
        if (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then taken+=" $port"; fi
    done
    [ -z "$taken" ] || { echo "taken on 127.0.0.1:$taken: end what listens there" >&2 && return 1; }
}

clean_up
[ "$(id -u)" -eq 0 ] || { echo "containers take root here" >&2 && exit 1; }
ports_are_free || exit 1
sender="$PWD/target/debug/retell-bridge"
check "tool: podman" runs "podman version" podman --version
check "tool: buildah" runs "buildah version" buildah --version
check "tool: Prometheus 3" runs "version 3." .tools/prometheus/prometheus --version
check "a sender" cargo build --quiet
check "Prometheus 3 takes the scrape of a bridge as it is; an alert fires and clears" prometheus_3_scrapes
check "the image is built" is_built
check "image: user, command, labels, health check" holds_what_it_says
check "image: under 60 MB" is_small
check "image: no shell" has_no_shell
check "image: librdkafka with TLS, SCRAM and zstd, and the commit" version_tells_what_it_is_made_of
check "image: it passes what the release workflow asks before it pushes" passes_the_release
kafka_start "$scratch/kafka"
check "topics apply" topics_are_there
check "run: within 96 MiB at 500 events a second, nothing writable but the volume" stays_within_96_mebibytes
check "run: its health check says ready" health_check_tells_ready
check "run: kill -9 with Kafka away loses nothing" survives_kill_9
check "run: a volume that fills up refuses, and comes back" fills_up_and_comes_back
# What a check that failed has left may not fail the next: Kafka that stands still, containers, their ports.
kafka_go_on
clean_up
check "a Pod lifted from the chart takes signed events" a_lifted_pod_takes_events
clean_up
kafka_stop
check "compose: images that cannot be had have stand-ins" stand_ins
check "compose: podman listens as Docker would" socket_listens
check "compose: everything but Grafana comes up, in its order" services_come_up
check "compose: the sample sender's events are published" sample_events_arrive
check "compose: Prometheus scrapes the bridge and has its alerts" prometheus_has_the_target_up
checked
