#!/usr/bin/env bash
# usage: cluster.sh up FOLDER    a Kubernetes control plane on loopback: etcd, API server, controller manager, scheduler, and
#                                kwok, which plays nodes and pods; FOLDER/kubeconfig is its door, FOLDER/*.log what they say
#        cluster.sh down FOLDER  ends exactly what `up` has started
# No kubelet: images, probes, mounts and network policies are taken, and not carried out.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bin="$(cd "$here/../.." && pwd)/.tools/control-plane"
kubectl="$(cd "$here/../.." && pwd)/.tools/helm4/kubectl"

down() { # down FOLDER
    local pid
    [ -f "$1/pids" ] || return 0
    for pid in $(tac "$1/pids"); do kill "$pid" 2>/dev/null || true; done
    for _ in $(seq 50); do
        for pid in $(cat "$1/pids"); do
            if kill -0 "$pid" 2>/dev/null; then sleep 0.1 && continue 2; fi
        done
        break
    done
    for pid in $(cat "$1/pids"); do kill -9 "$pid" 2>/dev/null || true; done
    rm "$1/pids"
}

free_port() { # below those that the system hands to clients
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    return 1
}

certificates() { # certificates FOLDER: an authority, the API server's certificate, the key that signs accounts' tokens
    local subject="subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc"
    cd "$1"
    openssl genrsa -out accounts.key 2048
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=made-up-authority -keyout authority.key -out authority.crt
    openssl req -newkey rsa:2048 -nodes -subj /CN=kube-apiserver -keyout server.key -out server.csr
    openssl x509 -req -days 2 -in server.csr -CA authority.crt -CAkey authority.key -CAcreateserial -out server.crt \
        -extfile <(echo "$subject")
}

start() { # start NAME ARGUMENTS...: its process id goes into ./pids
    "$bin/$1" "${@:2}" >"$1.log" 2>&1 &
    echo $! >>pids
}

up() { # up FOLDER
    local etcd peer api token
    mkdir -p "$1"
    cd "$1"
    (certificates "$PWD" >openssl.log 2>&1) || { cat openssl.log && return 1; }
    etcd="http://127.0.0.1:$(free_port)" peer="http://127.0.0.1:$(free_port)" api="$(free_port)"
    token="$(openssl rand -hex 16)"
    (umask 077 && echo "$token,admin,admin,system:masters" >tokens.csv)
    cat >kubeconfig <<END
apiVersion: v1
kind: Config
clusters: [{name: local, cluster: {server: "https://127.0.0.1:$api", certificate-authority: $PWD/authority.crt}}]
users: [{name: admin, user: {token: $token}}]
contexts: [{name: local, context: {cluster: local, user: admin}}]
current-context: local
END
    : >pids
    start etcd --data-dir etcd --unsafe-no-fsync --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
        --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer"
    start kube-apiserver --etcd-servers "$etcd" --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$api" \
        --tls-cert-file server.crt --tls-private-key-file server.key --cert-dir certificates \
        --endpoint-reconciler-type none --token-auth-file tokens.csv --authorization-mode RBAC \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file accounts.key \
        --service-account-signing-key-file accounts.key --service-cluster-ip-range 10.96.0.0/16
    export KUBECONFIG="$PWD/kubeconfig"
    for _ in $(seq 120); do
        "$kubectl" get --raw /readyz >/dev/null 2>&1 && break
        sleep 0.5
    done
    "$kubectl" get --raw /readyz >/dev/null || { tail -n 5 kube-apiserver.log && return 1; }
    local common=(--kubeconfig kubeconfig --authentication-kubeconfig kubeconfig --authorization-kubeconfig kubeconfig
        --bind-address 127.0.0.1 --cert-dir certificates --leader-elect=false)
    start kube-controller-manager "${common[@]}" --secure-port "$(free_port)" --root-ca-file authority.crt \
        --service-account-private-key-file accounts.key --enable-hostpath-provisioner=true
    start kube-scheduler "${common[@]}" --secure-port "$(free_port)"
    # Leases: without them the controllers take the nodes for dead after a minute.
    start kwok --node-lease-duration-seconds 40 --config "$here/stages.yaml" --kubeconfig kubeconfig --manage-all-nodes=true \
        --server-address "127.0.0.1:$(free_port)"
}

case "${1-} ${2-}" in
"up "?*) up "$2" || { down "$2" && exit 1; } ;;
"down "?*) down "$2" ;;
*)
    sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
