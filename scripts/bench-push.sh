#!/usr/bin/env bash
# Pushing and pulling an image of 120 MB to and from a registry on this machine, against skopeo, in
# pairs; and the same where one small layer of it is new. Goals: at most 1.5 times skopeo's time for
# the whole image, at most 0.5 s where a small layer changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/release-flags.sh
. scripts/release-flags.sh
echo "bench: building" >&2
cargo build --release --locked --quiet -p ybox --bin ybox

work=$(mktemp -d)
stop() {
  [ ! -s "$work/pid" ] || kill "$(cat "$work/pid")" 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export work port ybox=$PWD/target/release/ybox
cat >"$work/registry.yml" <<YML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/data}}
http: {addr: "127.0.0.1:$port"}
YML
once="bash $PWD/scripts/bench/registry_once.sh"
compare="python3 $PWD/scripts/bench/compare.py"

echo "bench: making the image" >&2
python3 scripts/bench/oci_layout.py "$work/layout"
docker-registry serve "$work/registry.yml" >/dev/null 2>&1 &
echo $! >"$work/pid"
until curl -sf "http://127.0.0.1:$port/v2/" >/dev/null; do sleep 0.02; done
registry=127.0.0.1:$port/team/cpu
for tag in a b; do
  skopeo copy --quiet --dest-tls-verify=false "oci:$work/layout:$tag" "docker://$registry:$tag"
  # As the bench's own name, so that nothing is mounted from a name of the registry.
  "$ybox" --home "$work/home" pull "$registry:$tag" --insecure >/dev/null 2>&1
  sed -i "s|127.0.0.1:$port/team/cpu:$tag|bench:$tag|" "$work/home/store/index.json"
  if [ $tag = a ]; then
    cp -r "$work/data" "$work/data-a"
    cp -r "$work/home" "$work/home-a"
    skopeo copy --quiet --src-tls-verify=false "docker://$registry:a" "oci:$work/oci-a:a"
  fi
done
cp -r "$work/data" "$work/data-ab"

missed=0
pairs=${PAIRS:-5}
for what in push pull; do
  $compare --what "$what of 120 MB" --pairs "$pairs" --figure seconds --also cpu_seconds \
    --ours "$once ours $what" --peer "$once peer $what" --at-most 1.5 || missed=1
  $compare --what "$what where one small layer changed" --pairs "$pairs" --figure seconds \
    --ours "$once ours $what-change" --peer "$once peer $what-change" || missed=1
  goal=seconds=0.5 $once ours $what-change || missed=1
done
exit $missed
