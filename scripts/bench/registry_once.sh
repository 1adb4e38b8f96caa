#!/usr/bin/env bash
# One timed transfer between a store and a registry that is put in the state that it needs first.
#   registry_once.sh ours|peer push|push-change|pull|pull-change
# Set by bench-push.sh: work (folder), ybox (command), port.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
side=$1 what=$2
registry=127.0.0.1:$port

# serve a|ab|-: a registry with image a, with both, or with none.
serve() {
  [ ! -s "$work/pid" ] || { kill "$(cat "$work/pid")"; tail --pid="$(cat "$work/pid")" -f /dev/null; }
  rm -rf "$work/data"
  [ "$1" = - ] || cp -r "$work/data-$1" "$work/data"
  docker-registry serve "$work/registry.yml" >/dev/null 2>&1 &
  echo $! >"$work/pid"
  until curl -sf "http://$registry/v2/" >/dev/null; do sleep 0.02; done
}

# empty_place a|-: a place to pull to, with image a or with nothing.
empty_place() {
  rm -rf "$work/home-pull" "$work/oci-pull"
  [ "$1" = - ] || { cp -r "$work/home-a" "$work/home-pull"; cp -r "$work/oci-a" "$work/oci-pull"; }
}

insecure="--src-tls-verify=false --dest-tls-verify=false"
case $what in
  push) serve - ;;
  push-change) serve a ;;
  pull) serve ab; empty_place - ;;
  pull-change) serve ab; empty_place a ;;
esac
tag=a
case $what in *-change) tag=b ;; esac
sync
case $side-$what in
  ours-push*) set -- "$ybox" --home "$work/home" push "$registry/team/cpu:$tag" --insecure --image "bench:$tag" ;;
  ours-pull*) set -- "$ybox" --home "$work/home-pull" pull "$registry/team/cpu:$tag" --insecure ;;
  # shellcheck disable=SC2086
  peer-push*) set -- skopeo copy $insecure "oci:$work/layout:$tag" "docker://$registry/team/cpu:$tag" ;;
  # shellcheck disable=SC2086
  peer-pull*) set -- skopeo copy $insecure "docker://$registry/team/cpu:$tag" "oci:$work/oci-pull:$tag" ;;
esac
if [ "$side" = ours ] && [ -n "${goal:-}" ]; then
  exec python3 "$here/timed.py" --goal "$goal" "$@"
fi
exec python3 "$here/timed.py" "$@"
