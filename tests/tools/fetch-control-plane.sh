#!/usr/bin/env bash
# Builds what tests/kubernetes.sh needs into .tools/control-plane/: a real Kubernetes control plane (etcd, API server,
# controller manager, scheduler), kwok for nodes and pods that only seem to run, and the definitions of the Prometheus
# operator's kinds and of the Gateway API's. The go.mod files beside this one pin all of it. The first time takes some 20 minutes on two cores and 8 GB
# for Go's caches. Nothing is installed outside .tools/ and Go's caches, nothing needs root. Does nothing for what is there.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bin="$(cd "$here/../.." && pwd)/.tools/control-plane"
kubernetes=1.36.3
gateway_api=sigs.k8s.io/gateway-api@v1.4.0
kwok=sigs.k8s.io/kwok/cmd/kwok@v0.8.0

say() { echo "fetch-control-plane: $*" >&2; }
if ! command -v go >/dev/null 2>&1; then
    say "'go' is missing. Install Go 1.21 or newer: apt-get install -t bookworm-backports golang-go, or https://go.dev/dl"
    exit 1
fi
mkdir -p "$bin"
wanted="$(cat "$here"/go/*/go.mod "${BASH_SOURCE[0]}" | sha256sum | cut -d ' ' -f 1)"
if [ ! -f "$bin/stamp" ] || [ "$(cat "$bin/stamp")" != "$wanted" ]; then
    rm -rf "$bin" && mkdir -p "$bin"
fi

build() { # build NAME COMMAND...: makes .tools/control-plane/NAME, once
    local name="$1"
    shift
    [ ! -e "$bin/$name" ] || return 0
    say "building $name (once)"
    if ! "$@" >"$bin/log" 2>&1; then
        tail -n 20 "$bin/log" >&2
        say "Go could not build $name. Is there a way to the Go module proxy, and 10 GB of room for Go's caches?"
        exit 1
    fi
}

# The version that the API server tells: Helm and kubectl ask for it.
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=v$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=36 -X $package.gitTreeState=clean"
done
etcd() { cd "$here/go/etcd" && go build -mod=mod -trimpath -ldflags "-s -w" -o "$bin/etcd" go.etcd.io/etcd/server/v3; }
component() { cd "$here/go/kubernetes" && go build -mod=mod -trimpath -ldflags "$flags" -o "$bin/$1" "k8s.io/kubernetes/cmd/$1"; }
kwok() { GOBIN="$bin" go install -trimpath -ldflags "-s -w" "$kwok"; }
# Definitions with which the API server refuses a misspelt field of a ServiceMonitor, PodMonitor or PrometheusRule.
operator_crds() {
    cd "$here/go/operator-crds"
    go run -mod=mod sigs.k8s.io/controller-tools/cmd/controller-gen crd:crdVersions=v1 \
        paths=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1 output:dir="$bin/making-crds"
    mv "$bin/making-crds" "$bin/operator-crds"
}
gateway_crds() {
    cd "$here/go/operator-crds"
    go mod download "$gateway_api"
    mkdir "$bin/making-gateway"
    cp "$(go env GOMODCACHE)/$gateway_api"/config/crd/standard/*_httproutes.yaml "$bin/making-gateway/"
    mv "$bin/making-gateway" "$bin/gateway-crds"
}

export CGO_ENABLED=0
build etcd etcd
for component in kube-apiserver kube-controller-manager kube-scheduler; do
    build "$component" component "$component"
done
build kwok kwok
build operator-crds operator_crds
build gateway-crds gateway_crds
echo "$wanted" >"$bin/stamp"
