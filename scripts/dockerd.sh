#!/usr/bin/env bash
# A private Docker daemon for tests: everything it owns lies under DIR, and it lives in network and
# mount namespaces of its own, so that neither the docker0 of a running daemon nor the host's
# mounts are touched. Needs root, no init system. Containers get no outside network, and images
# can be pulled only from a registry that somebody starts in the daemon's network namespace:
#   nsenter --net=/proc/$(cat DIR/pid)/ns/net docker-registry serve CONFIG
#
#   scripts/dockerd.sh start DIR    prints DOCKER_HOST=unix://DIR/docker.sock once it answers
#   scripts/dockerd.sh stop DIR     stops it, and removes what it left in DIR
#
# The storage driver is the daemon's own choice, printed on stderr: overlay2 where DIR lies on a
# plain file system (ext4, xfs, tmpfs), the far slower vfs where it lies on an overlay.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'dockerd: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

usage() { die "usage: $0 start|stop DIR"; }

alive() { [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

answers() { alive && grep -q 'API listen on' "$dir/log" 2>/dev/null; }

install_docker() {
    command -v dockerd >/dev/null && command -v ip >/dev/null && return
    say "installing docker.io"
    apt-get update -qq
    # From Debian 13 on the client is a package of its own.
    client=$(apt-cache pkgnames docker-cli | grep -x docker-cli || true)
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends docker.io iproute2 $client >/dev/null
    command -v dockerd >/dev/null || die "docker.io did not bring dockerd"
}

start() {
    if answers; then
        say "already running"
    else
        install_docker
        mkdir -p "$dir"
        launch
        await
        say "storage driver: $(sed -n 's/.*\(graphdriver(s)\|storage-driver\)=\([a-z0-9]*\).*/\2/p' \
            "$dir/log" | head -n 1)"
    fi
    echo "DOCKER_HOST=unix://$dir/docker.sock"
}

# An empty configuration keeps the host's /etc/docker/daemon.json out.
launch() {
    echo '{}' >"$dir/daemon.json"
    rm -f "$dir/pid" "$dir/docker.pid" "$dir/docker.sock"
    setsid unshare --net --mount --propagation slave \
        sh -c 'echo $$ >"$1/pid"; shift; ip link set lo up; exec "$@"' sh "$dir" \
        dockerd --config-file "$dir/daemon.json" --host "unix://$dir/docker.sock" \
        --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/docker.pid" \
        --iptables=false --ip-forward=false --ip-masq=false \
        </dev/null >"$dir/log" 2>&1 &
}

await() {
    local tries=0
    until answers; do
        tries=$((tries + 1))
        if [ "$tries" -gt 20 ] && ! alive; then
            tail -n 20 "$dir/log" >&2
            die "the daemon ended while starting; its log is above"
        fi
        [ "$tries" -le 600 ] || die "no answer within a minute; see $dir/log"
        sleep 0.1
    done
}

stop() {
    if alive; then
        local pid tries=0
        pid=$(cat "$dir/pid")
        kill -TERM "$pid"
        while kill -0 "$pid" 2>/dev/null; do
            tries=$((tries + 1))
            [ "$tries" -ne 200 ] || kill -KILL "$pid"
            sleep 0.1
        done
    fi
    end_leftovers
    rm -rf "${dir:?}/data" "$dir/exec" "$dir/docker.sock" "$dir/docker.pid" "$dir/pid" \
        "$dir/daemon.json" "$dir/log"
    rmdir "$dir" 2>/dev/null || true
}

# containerd and its shims outlive a killed daemon; their command lines name our exec root.
end_leftovers() {
    local process
    for process in /proc/[0-9]*; do
        if tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -qF -- "$dir/exec/"; then
            kill -KILL "${process#/proc/}" 2>/dev/null || true
        fi
    done
}

[ $# -eq 2 ] || usage
[ "$(id -u)" -eq 0 ] || die "needs root: try again with sudo"
dir=$(realpath -m -- "$2")
# Socket paths end at 107 bytes, and containerd's lie 35 below DIR.
[ "${#dir}" -le 70 ] || die "$dir: too long a path for the daemon's sockets; choose a shorter one"
case $1 in
start) start ;;
stop) stop ;;
*) usage ;;
esac
