#!/usr/bin/env bash
# Makes the local base images that tests/containers.sh builds ours on, in .tools/containers/: a stand-in for the builder
# (Debian with compilers, this machine's Rust tool chain mounted into it) and one for the runtime (glibc, libgcc_s, CA
# certificates and nothing else: no shell), both from Debian's packages. Needs root. Does nothing for what is there.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
folder="$root/.tools/containers"

say() { echo "fetch-containers: $*" >&2; }
[ "$(id -u)" -eq 0 ] || { say "building and running images here takes root." && exit 1; }
missing=()
for tool in buildah podman debootstrap runc netavark:/usr/lib/podman/netavark aardvark-dns:/usr/lib/podman/aardvark-dns \
    catatonit:/usr/libexec/podman/catatonit rustc; do
    command -v "${tool%%:*}" >/dev/null 2>&1 || [ -x "${tool#*:}" ] || missing+=("${tool%%:*}")
done
if [ ${#missing[@]} -gt 0 ]; then
    say "missing: ${missing[*]}. Install them: apt-get install buildah podman debootstrap runc netavark aardvark-dns catatonit"
    exit 1
fi
# Where apt has its packages from, debootstrap has them, too.
mirror="$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -v security | head -n 1 || true)"
[ -n "$mirror" ] || { say "apt names no place to get packages from. Run apt-get update first." && exit 1; }
wanted="$(sha256sum <"${BASH_SOURCE[0]}") $mirror"
[ -f "$folder/stamp" ] && [ "$(cat "$folder/stamp")" = "$wanted" ] && exit 0

mkdir -p "$folder"
scratch="$(mktemp -d -p "$folder")"
trap 'rm -rf "$scratch"' EXIT

say "making the builder's base (once)"
if ! debootstrap --variant=minbase --include=build-essential,cmake,perl,pkg-config,python3-minimal,git,ca-certificates \
    bookworm "$scratch/builder" "$mirror" >"$folder/log" 2>&1; then
    tail -n 20 "$folder/log" >&2
    say "debootstrap could not make a Debian from $mirror"
    exit 1
fi
tar -C "$scratch/builder" -cf "$folder/builder.tar" .

say "making the runtime's base (once)"
mkdir -p "$scratch/packages" "$scratch/runtime/etc"
if ! (cd "$scratch/packages" && apt-get download libc6 libgcc-s1 ca-certificates) >"$folder/log" 2>&1; then
    cat "$folder/log" >&2
    say "apt could not download the packages. Run apt-get update first."
    exit 1
fi
for package in "$scratch/packages"/*.deb; do dpkg -x "$package" "$scratch/runtime"; done
mkdir -p "$scratch/runtime/etc/ssl/certs" "$scratch/runtime/tmp"
chmod 1777 "$scratch/runtime/tmp"
cat "$scratch/runtime"/usr/share/ca-certificates/mozilla/*.crt >"$scratch/runtime/etc/ssl/certs/ca-certificates.crt"
echo 'nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin' >"$scratch/runtime/etc/passwd"
rm -rf "$scratch/runtime/usr/share" "$scratch/runtime/sbin" "$scratch/runtime/usr/sbin"
tar -C "$scratch/runtime" -cf "$folder/runtime.tar" .
echo "$wanted" >"$folder/stamp"
