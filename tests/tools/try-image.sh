#!/usr/bin/env bash
# usage: try-image.sh IMAGE VERSION REVISION: runs an image before it is published. It must say that it is of this version
# and source, with what Kafka needs in it, and take a signed event, read-only and without rights. Asks no network.
# CONTAINERS is the command that runs it: docker, or podman.
set -euo pipefail

image="${1:?usage: try-image.sh IMAGE VERSION REVISION}" version="${2:?}" revision="${3:?}"
read -ra containers <<<"${CONTAINERS:-docker}"
volume="try-image-$$"
trap '"${containers[@]}" rm -f "$volume" >/dev/null 2>&1; "${containers[@]}" volume rm -f "$volume" >/dev/null 2>&1' EXIT

said="$("${containers[@]}" run --rm --network none "$image" version --json)"
for word in "\"$version\"" "${revision:0:7}" '"ssl"' '"sasl_scram"' '"sasl_oauthbearer"' '"zstd"'; do
    grep -qF -- "$word" <<<"$said" || { echo "version --json has no $word: $said" >&2 && exit 1; }
done

"${containers[@]}" run --detach --name "$volume" --network none --read-only --cap-drop ALL \
    --security-opt no-new-privileges --volume "$volume:/var/lib/retell-bridge" --env RETELL_API_KEY=key_made_up \
    --env RETELL_BRIDGE_KAFKA__BROKERS=127.0.0.1:9 --env RETELL_BRIDGE_JOURNAL__SIZE_MAX=1GiB "$image" >/dev/null
inside() { "${containers[@]}" exec "$volume" retell-bridge "$@"; }
for _ in $(seq 100); do
    ! inside health >/dev/null 2>&1 || break
    sleep 0.3
done
inside send retell_bridge_test --url http://127.0.0.1:8080/webhook || {
    "${containers[@]}" logs "$volume" 2>&1 | tail -n 20
    exit 1
}
