#!/usr/bin/env bash
# usage: tests/containers/build.sh: builds the image of deploy/Dockerfile as localhost/retell-bridge:test, on the local base
# images of tests/tools/fetch-containers.sh. The tool chain and the crates are this machine's, mounted, so that a second
# build fetches nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/containers/podman.sh

base() { # base NAME TAR [INSTRUCTION...]
    local name="$1" tar="$2"
    shift 2
    image_exists "$name" && return
    printf '%s\n' "FROM scratch" "ADD $tar /" "$@" >"$containers/Containerfile"
    buildah_here bud --pull-never --format docker --layers=false -t "$name" -f "$containers/Containerfile" "$containers"
    rm "$containers/Containerfile"
}
image_exists() { podman_here image exists "$1"; }

rustup="${RUSTUP_HOME:-$HOME/.rustup}" cargo="${CARGO_HOME:-$HOME/.cargo}"
base localhost/builder:bookworm builder.tar "ENV RUSTUP_HOME=$rustup CARGO_HOME=$cargo PATH=$cargo/bin:/usr/sbin:/usr/bin:/sbin:/bin"
base localhost/runtime:bookworm runtime.tar
mkdir -p "$cargo/registry" "$cargo/git"
buildah_here bud --pull-never --format docker --isolation chroot --layers \
    -v "$rustup:$rustup:ro" -v "$cargo/bin:$cargo/bin:ro" -v "$cargo/registry:$cargo/registry" -v "$cargo/git:$cargo/git" \
    --build-arg BUILD_IMAGE=localhost/builder:bookworm --build-arg RUNTIME_IMAGE=localhost/runtime:bookworm \
    --build-arg VERSION=0.0.0-test --build-arg REVISION="$(git rev-parse HEAD)" \
    -f deploy/Dockerfile -t localhost/retell-bridge:test .
