# What happens to a release once it is installed, a function for each check of tests/kubernetes.sh, which sources it.

settings() { in_namespace get configmap r-retell-bridge -o jsonpath='{.data}'; }
upgrades() {
    change --set config.log.level=debug --set image.tag=next # other pods, for the drain Jobs as well
    in_namespace get configmap -o yaml | grep -q "level: debug"
    local rolled
    rolled="$(in_namespace get statefulset -o jsonpath='{.items[0].status.updatedReplicas}')"
    [ "$rolled" = "$replicas" ] || { echo "$rolled instances were rolled, wanted $replicas" && return 1; }
    instances_run "$replicas"
}
rolls_back() {
    helm "$h" rollback r 1 -n "$namespace" "$(wait_flag)" --timeout 90s
    if [ "$scenario" != everything ] && in_namespace get configmap -o yaml | grep "level: debug"; then return 1; fi
    instances_run "$replicas"
}
scales() {
    change --set replicas=$((replicas + 1)) --set-json drain.claims=[]
    instances_run $((replicas + 1))
    local claims
    claims="$(names pvc | wc -l)"
    change --set replicas="$replicas"
    instances_run "$replicas"
    count "$claims" pvc
}
uninstalls_and_keeps_the_claims() {
    local claims topics
    claims="$(names pvc)"
    topics="$(kubectl get kafkatopics -A -o name)"
    helm "$h" uninstall r -n "$namespace" --wait --timeout 60s
    count 0 statefulset
    [ "$(names pvc)" = "$claims" ] || { echo "claims are gone" && return 1; }
    [ "$(kubectl get kafkatopics -A -o name)" = "$topics" ] || { echo "topics are gone" && return 1; }
}
finds_its_claims_again() {
    local volumes
    volumes="$(in_namespace get pvc -o jsonpath='{.items[*].spec.volumeName}')"
    # Topics that stayed belong to no release any more; Helm takes them over where their release has the same name.
    installs
    [ "$(in_namespace get pvc -o jsonpath='{.items[*].spec.volumeName}')" = "$volumes" ] || { echo "other volumes" && return 1; }
}
refuses_a_changed_claim() { # before a pod that restarts could read other settings
    local said live
    live="$(settings)"
    if said="$(change --set persistence.size=48Gi 2>&1)"; then
        echo "taken"
        return 1
    fi
    grep -q "persistence.size is 48Gi and the volumes have 12Gi" <<<"$said" || { echo "$said" && return 1; }
    [ "$(settings)" = "$live" ] || { echo "the settings are changed" && return 1; }
}
rolls_back_what_failed_halfway() {
    local live
    live="$(settings)"
    if change --set config.log.level=trace --set podLabels."no/valid/name"=x >/dev/null; then
        echo "taken"
        return 1
    fi
    helm "$h" rollback r -n "$namespace" "$(wait_flag)" --timeout 90s
    [ "$(settings)" = "$live" ] || { echo "the settings are changed" && return 1; }
    instances_run "$replicas"
}
refuses_another_name() {
    local said
    if said="$(change --set fullnameOverride=other 2>&1)"; then
        echo "taken"
        return 1
    fi
    grep -q "its volumes belong to that name" <<<"$said" || { echo "$said" && return 1; }
}
# The runbook's way through an outage of Kafka: one instance more, then larger volumes. The new instance, with a backlog by
# then, must be there all the time.
grows_and_keeps_its_instances() {
    local claim
    reuse() { helm "$h" upgrade r "$chart" -n "$namespace" --reuse-values --no-hooks "$(wait_flag)" --timeout 90s "$@"; }
    reuse --set replicas=$((replicas + 1))
    instances_run $((replicas + 1))
    for claim in $(names pvc); do
        in_namespace patch "$claim" -p '{"spec":{"resources":{"requests":{"storage":"24Gi"}}}}'
    done
    in_namespace delete statefulset --all --cascade=orphan
    count $((replicas + 1)) pods -l app.kubernetes.io/name=retell-bridge
    reuse --set persistence.size=24Gi
    instances_run $((replicas + 1))
    in_namespace get configmap -o yaml | grep -q "size_max: 20480MiB"
    reuse --set replicas="$replicas"
}
