# Images and containers of the tests, apart from all others of this machine: source it.

# By its real name, also where .tools is a link: podman wants the folder in which it began.
containers="$(readlink -m .tools/containers)"
export CONTAINERS_CONF="$PWD/tests/containers/containers.conf"
store=(--root "$containers/storage" --runroot "$containers/run" --storage-driver overlay)
buildah_here() { buildah "${store[@]}" "$@"; }
podman_here() { podman "${store[@]}" "$@"; }
