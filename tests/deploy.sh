#!/usr/bin/env bash
# Checks the chart, the image's recipe, the compose file and the alerts with the real tools that
# `tests/tools/fetch.sh deploy` puts into .tools/. One line a check; exit code 1 when one fails. An absent tool is a
# failure, never a skip. Changes nothing, asks no network and no cluster.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools="$PWD/.tools"
chart=helm/retell-bridge
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

# Nothing of whoever runs this may decide a check: no plug-ins, no cluster, no .env, no exported settings.
export HELM_CACHE_HOME="$scratch/helm" HELM_CONFIG_HOME="$scratch/helm" HELM_DATA_HOME="$scratch/helm"
export KUBECONFIG=/dev/null DOCKER_CONFIG="$scratch/docker" COMPOSE_DISABLE_ENV_FILE=1
unset RETELL_API_KEY COMPOSE_FILE COMPOSE_PROFILES COMPOSE_PROJECT_NAME
PATH="$PATH:$tools/promtool/usr/bin"

fetch="tests/tools/fetch.sh deploy"
source tests/tools/check.sh
python() { "$tools/venv/bin/python" "$@"; }
helm() { # helm 3|4 ARGUMENTS...
    "$tools/helm$1/helm" "${@:2}"
}

# The scenario, rendered into a file of its own for the checks behind it.
render() { # render 3|4 SCENARIO RELEASE FILE
    helm "$1" template "$3" "$chart" --namespace retell --values "$2" >"$4"
}
template_and_facts() { # template_and_facts 3|4 SCENARIO RELEASE FILE
    render "$@" && python tests/deploy/rendered.py "$4" "$3"
}

refused() { # refused 3|4 VALUES: with the sentence, or all the words, of its first line
    local output expected word
    if output="$(helm "$1" template r "$chart" --values "$2" 2>&1)"; then
        echo "the values are taken, and should be refused"
        return 1
    fi
    expected="$(head -n 1 "$2")"
    case "$expected" in
    "# refused: "*)
        grep -qF -- "${expected#\# refused: }" <<<"$output" && return
        ;;
    "# refused by the schema: "*)
        for word in "specifications of the schema" ${expected#\# refused by the schema: }; do
            grep -qiF -- "$word" <<<"$output" || break
            [ "$word" != "${expected##* }" ] || return 0
        done
        ;;
    *) echo "the first line of $2 does not say how it is refused" ;;
    esac
    printf 'expected: %s\nsaid: %s\n' "$expected" "$output"
    return 1
}

# The settings of a rendering, with its key files moved to where this machine has them, and what its Secrets set by name.
bridge_takes() { # bridge_takes FILE
    python tests/deploy/settings_of.py "$1" "$scratch/settings" >"$scratch/variables" || return
    mapfile -t variables <"$scratch/variables"
    env "${variables[@]}" cargo run --quiet -- config check --config "$scratch/settings/config.yaml"
}

# Kinds of others, whose schemas Kubernetes does not have: tests/kubernetes.sh holds those that can be had to their own.
foreign=ServiceMonitor,PodMonitor,PrometheusRule,HTTPRoute,BackendTLSPolicy,HealthCheckPolicy,BackendConfig,KafkaTopic,KafkaUser
kubeconform() { # kubeconform VERSION: everything rendered so far
    "$tools/kubeconform/kubeconform" -strict -summary -skip "$foreign" \
        -schema-location "$tools/schemas/$1/{{ .ResourceKind }}{{ .KindSuffix }}.json" "$scratch"/rendered
}

chart_readme() {
    cp -r "$chart" "$scratch/chart" && "$tools/helm-docs/helm-docs" --sort-values-order file -c "$scratch/chart" && diff "$chart/README.md" "$scratch/chart/README.md"
}

# A Job cannot be changed: what changes its pod must change its name.
drain_jobs() { helm 4 template r "$chart" --values "$chart/ci/jobs-values.yaml" "$@" | grep -o "r-retell-bridge-drain-[0-9a-f]*"; }
another_pod_is_another_job() {
    drain_jobs >"$scratch/drains" && [ "$(sort -u "$scratch/drains" | wc -l)" -eq 2 ] || return
    local change
    for change in image.tag=next nodeSelector.disk=ssd; do
        if drain_jobs --set "$change" | grep -xFf "$scratch/drains"; then
            echo "with $change it is the same Job"
            return 1
        fi
    done
}

# The chart names the topics for Strimzi by rules of its own.
strimzi_topics() {
    python tests/deploy/settings_of.py "$scratch/rendered/strimzi-4.yaml" "$scratch/settings" >/dev/null &&
        cargo run --quiet -- topics plan --format strimzi --cluster main --config "$scratch/settings/config.yaml" \
            >"$scratch/planned.yaml" &&
        python tests/deploy/same_topics.py "$scratch/planned.yaml" "$scratch/rendered/strimzi-4.yaml"
}

compose() { "$tools/venv/bin/docker-compose" -f docker-compose.yml "$@"; }
compose_refuses_no_key() {
    local output
    if output="$(compose config -q 2>&1)"; then
        echo "taken without RETELL_API_KEY"
        return 1
    fi
    grep -qF "export the key with the webhook badge" <<<"$output" || { echo "$output" && return 1; }
}

compose_facts() { compose --profile sample config --format json >"$scratch/compose.json" && python tests/deploy/compose.py "$scratch/compose.json"; }

# The image's dependency layer knows the manifest and empty sources: does cargo take them together? (Not with a member
# of a workspace, say, that is not copied.)
manifest_alone() {
    mkdir -p "$scratch/manifest/"{src,benches/src,proofs/src,tests/support/src}
    cp Cargo.toml Cargo.lock "$scratch/manifest"
    cp benches/Cargo.toml "$scratch/manifest/benches"
    cp proofs/Cargo.toml "$scratch/manifest/proofs"
    cp tests/support/Cargo.toml "$scratch/manifest/tests/support"
    touch "$scratch/manifest/"{src/main.rs,src/lib.rs,benches/src/main.rs,proofs/src/main.rs,tests/support/src/lib.rs}
    # `cargo metadata` reads past a target without a source, `cargo build` does not: this plans the build and does none of it.
    RUSTC_BOOTSTRAP=1 cargo build --release --locked --unit-graph -Zunstable-options --manifest-path "$scratch/manifest/Cargo.toml"
}

check "tool: Helm 3" runs v3. helm 3 version --short
check "tool: Helm 4" runs v4. helm 4 version --short
check "tool: helm-unittest" runs "helm unittest my-chart" "$tools/helm-unittest/helm-unittest" --help
check "tool: helm-docs" runs "--chart-search-root" "$tools/helm-docs/helm-docs" --help
check "tool: kubeconform" runs "Usage: " "$tools/kubeconform/kubeconform" -h
check "tool: Docker Compose" runs v compose version
check "tool: hadolint" runs "Haskell Dockerfile Linter" "$tools/venv/bin/hadolint" --version
check "tool: promtool" runs "promtool, version" promtool --version
check "tool: Python with YAML" runs 6. python -c 'import yaml; print(yaml.__version__)'

mkdir "$scratch/rendered"
for h in 3 4; do
    for values in "$chart"/ci/*-values.yaml; do
        scenario="$(basename "$values" -values.yaml)"
        check "Helm $h: lint $scenario" helm "$h" lint --strict "$chart" --values "$values"
        check "Helm $h: template $scenario" \
            template_and_facts "$h" "$values" r "$scratch/rendered/$scenario-$h.yaml"
        check "Helm $h: the bridge takes the settings of $scenario" bridge_takes "$scratch/rendered/$scenario-$h.yaml"
    done
    check "Helm $h: template with the longest name of a release" \
        template_and_facts "$h" "$chart/ci/default-values.yaml" \
        a-release-whose-name-is-as-long-as-helm-lets-it-be-ok "$scratch/rendered/longest-name-$h.yaml"
    check "Helm $h: template with dots in the release's name" \
        template_and_facts "$h" "$chart/ci/default-values.yaml" retell.eu "$scratch/rendered/dots-$h.yaml"
    for values in tests/deploy/refused/*.yaml; do
        check "Helm $h: refuses $(basename "$values" .yaml)" refused "$h" "$values"
    done
done
for version in "$tools"/schemas/*/; do
    check "kubeconform: Kubernetes $(basename "$version")" kubeconform "$(basename "$version")"
done
check "chart: unit tests" "$tools/helm-unittest/helm-unittest" --strict "$chart"
check "chart: its README is made from values.yaml (\`make chart-readme\` does it)" chart_readme
check "chart: a sentence for every value, the schema knows each" python tests/deploy/values.py "$chart"
check "chart: another pod is another drain Job" another_pod_is_another_job
check "chart: Strimzi's topics are those of \`topics plan\`" strimzi_topics
check "chart: its alerts are those of deploy/prometheus" \
    python tests/deploy/same_rules.py deploy/prometheus/rules/retell-bridge.yaml "$scratch"/rendered/monitoring-*.yaml

check "promtool: configuration" promtool check config deploy/prometheus/prometheus.yml
check "promtool: rules" promtool check rules deploy/prometheus/rules/retell-bridge.yaml
for tests in deploy/prometheus/tests/*.yaml; do
    check "promtool: tests of $(basename "$tests" .yaml)" promtool test rules "$tests"
done
check "alerts: words, runbook, metrics that exist, a firing and a quiet test each" python tests/deploy/alerts.py

check "dashboard: Grafana's model, words, exactly the metrics that exist" python tests/deploy/dashboard.py "$scratch/dashboard.yaml"
check "promtool: expressions of the dashboard" promtool check rules "$scratch/dashboard.yaml"
check "release: actionlint" "$tools/actionlint/actionlint" .github/workflows/*.yaml
check "release: the image is run before it is pushed, and signed after" python tests/deploy/release.py .github/workflows/release.yaml
check "release: the versions agree" tests/tools/release-version.sh "v$(sed -n 's/^version: //p' "$chart/Chart.yaml")"
check "image: hadolint" "$tools/venv/bin/hadolint" --failure-threshold info deploy/Dockerfile
check "image: the dependency layer takes the manifest alone" manifest_alone
check "compose: refuses to start without a key" compose_refuses_no_key
export RETELL_API_KEY=key_made_up
check "compose: config" compose config -q
check "compose: loopback only, fixed images, health checks, start order" compose_facts

checked
