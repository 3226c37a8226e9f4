#!/usr/bin/env bash
# usage: tests/kubernetes.sh [SCENARIO...]   (`make test-kubernetes`; a scenario is a file of helm/retell-bridge/ci, without
# `-values.yaml`; none: all of them)
#
# The chart on a real Kubernetes control plane, under Helm 3 and 4, in namespaces that enforce Pod Security "restricted":
# install, strict validation by the API server, test, upgrade, rollback, scale, uninstall, install again on the same claims.
# There is no kubelet: images, probes, mounts and network policies are taken and not carried out. One line a check; exit
# code 1 when one fails. Needs what `tests/tools/fetch.sh deploy control-plane` fetches; everything is on loopback.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools="$PWD/.tools"
chart=helm/retell-bridge
scratch="$(mktemp -d)"
fetch="tests/tools/fetch.sh deploy control-plane"
source tests/tools/check.sh
source tests/kubernetes/changes.sh

cluster="$scratch/cluster"
players=()
leave() {
    local pid
    for pid in ${players[@]+"${players[@]}"}; do kill "$pid" 2>/dev/null || true; done
    # The volumes of claims are folders below /tmp, made by the controller manager.
    for folder in $(kubectl get pv -o jsonpath='{.items[*].spec.hostPath.path}' 2>/dev/null || true); do
        [[ "$folder" == /tmp/hostpath_pv/* ]] && rm -rf "$folder"
    done
    tests/kubernetes/cluster.sh down "$cluster"
    rm -rf "$scratch"
}
trap leave EXIT

export HELM_CACHE_HOME="$scratch/helm" HELM_CONFIG_HOME="$scratch/helm" HELM_DATA_HOME="$scratch/helm"
export KUBECONFIG="$cluster/kubeconfig"
kubectl() { "$tools/helm4/kubectl" "$@"; }
helm() { # helm 3|4 ARGUMENTS...
    "$tools/helm$1/helm" "${@:2}"
}

# Without a cloud a Service of the type LoadBalancer never has an address, and Helm waits for one.
play_the_cloud() {
    local namespace name
    while sleep 0.5; do
        kubectl get services -A -o jsonpath='{range .items[?(@.spec.type=="LoadBalancer")]}{.metadata.namespace} {.metadata.name} {.status.loadBalancer.ingress[0].ip}{"\n"}{end}' |
            while read -r namespace name ip; do
                [ -n "$ip" ] || kubectl -n "$namespace" patch service "$name" --subresource status --type merge \
                    -p '{"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}'
            done || true
    done >/dev/null 2>&1
}

cluster_stands() {
    tests/kubernetes/cluster.sh up "$cluster" &&
        kubectl apply -f tests/kubernetes/cluster.yaml -f tests/kubernetes/foreign.yaml &&
        kubectl apply --server-side -f "$tools/control-plane/operator-crds" -f "$tools/control-plane/gateway-crds" &&
        kubectl wait --for condition=established --timeout 60s crd --all
}

# Everything below is about one release `r` in a namespace of its own, which takes Strimzi's resources as well.
given() { printf '%s\n' --namespace "$namespace" --values "$values" --set strimzi.namespace=; }
in_namespace() { kubectl -n "$namespace" "$@"; }
names() { in_namespace get "$@" -o name; }
count() { # count WANTED KIND...: so many of them
    local found
    found="$(names "${@:2}" | wc -l)"
    [ "$found" -eq "$1" ] || { echo "$found of $2, wanted $1" && names "${@:2}" && return 1; }
}
instances_run() { # instances_run COUNT: on bound claims, where there are claims
    local ready
    ready="$(in_namespace get statefulset -o jsonpath='{.items[0].status.readyReplicas}')"
    [ "$ready" = "$1" ] || { echo "$ready instances are ready, wanted $1" && return 1; }
    count "$1" pods -l app.kubernetes.io/name=retell-bridge
    if [ "$(in_namespace get pvc -o jsonpath='{.items[?(@.status.phase!="Bound")].metadata.name}')" != "" ]; then
        in_namespace get pvc
        return 1
    fi
}

prepare() { # a namespace as strict as they come, and the claims of instances that are gone
    kubectl create namespace "$namespace"
    kubectl label namespace "$namespace" pod-security.kubernetes.io/{enforce,warn}=restricted
    local claim
    for claim in $(grep -o 'journal-r[-a-z]*-[0-9]' "$values" | sort -u); do
        in_namespace apply -f - <<END
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: $claim}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
END
    done
}
api_server_takes_every_field() {
    helm "$h" template r "$chart" $(given) >"$scratch/rendered.yaml"
    in_namespace apply --server-side --force-conflicts --dry-run=server --validate=strict -f "$scratch/rendered.yaml" >"$scratch/taken" 2>&1 || {
        cat "$scratch/taken"
        return 1
    }
    no_warning "$scratch/taken"
}
no_warning() { # no_warning FILE: Pod Security, an old API; Google's controller reads no other way to name its class
    if grep -i "warning" "$1" | grep -v "kubernetes.io/ingress.class"; then return 1; fi
}
wait_flag() { [ "$h" = 3 ] && echo --wait || echo --wait=watcher; }
change() { # change ARGUMENTS...: an upgrade, without a warning
    helm "$h" upgrade r "$chart" $(given) "$(wait_flag)" --timeout 90s "$@" >"$scratch/said" 2>&1 || {
        cat "$scratch/said"
        return 1
    }
    no_warning "$scratch/said"
}
installs() {
    change --install
    instances_run "$replicas"
}
test_passes() { helm "$h" test r -n "$namespace" --timeout 60s; }
jobs_complete() {
    local jobs
    jobs="$(names jobs)"
    [ -z "$jobs" ] || in_namespace wait --for condition=complete --timeout 60s $jobs
}

scenarios=("$@")
[ ${#scenarios[@]} -gt 0 ] || scenarios=($(cd "$chart/ci" && printf '%s\n' *-values.yaml | sed 's/-values.yaml$//'))
for tool in etcd kube-apiserver kube-controller-manager kube-scheduler kwok; do
    check "tool: $tool" runs "" "$tools/control-plane/$tool" --version
done
check "the cluster stands" cluster_stands
[ "$failed" -eq 0 ] || { checked || exit 1; }
play_the_cloud &
players+=($!)

for scenario in "${scenarios[@]}"; do
    values="$chart/ci/$scenario-values.yaml"
    [ -f "$values" ] || { echo "there is no $values" >&2 && exit 2; }
    replicas="$(sed -n 's/^replicas: //p' "$values")"
    replicas="${replicas:-2}"
    for h in 3 4; do
        namespace="$scenario-$h"
        at="Helm $h, $scenario"
        check "$at: a strict namespace" prepare
        check "$at: installs" installs
        check "$at: the API server takes every field" api_server_takes_every_field
        check "$at: Jobs complete" jobs_complete
        check "$at: its test passes" test_passes
        check "$at: upgrades" upgrades
        check "$at: rolls back" rolls_back
        check "$at: scales and keeps the claims" scales
        if [ "$scenario" = default ]; then
            check "$at: refuses another size of claim" refuses_a_changed_claim
            check "$at: refuses another name" refuses_another_name
            check "$at: rolls back what failed halfway" rolls_back_what_failed_halfway
            check "$at: grows and keeps its instances" grows_and_keeps_its_instances
        fi
        check "$at: uninstalls and keeps the claims" uninstalls_and_keeps_the_claims
        check "$at: finds its claims again" finds_its_claims_again
        kubectl delete namespace "$namespace" --wait=false >/dev/null
    done
done
checked
