#!/usr/bin/env bash
# Shows that an image does not depend on where and by whom it is built: two clones of the last
# commit, in folders of different names, with other homes, cargo homes, umasks, locales and time
# zones, an empty cache each, and (as root) another user for the second assembly. Prints both
# digests; exits 1 when they differ. Takes about ten minutes and 6 GB below TMPDIR.
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

say() { echo "reproducible: $*" >&2; }

# clone FOLDER: the last commit, with everything that building makes.
clone() {
  mkdir -p "$(dirname "$1")"
  git clone --quiet "$project" "$1"
  "$1/scripts/setup.sh"
  "$1/scripts/build-trainer.sh"
}

# assemble FOLDER HOME [PREFIX...]: the image's reference, built with an empty home.
assemble() {
  local folder=$1 home=$2
  shift 2
  mkdir -p "$home"
  if [ $# -gt 0 ]; then chown -R 65533:65533 "$home"; fi
  (cd / && "$@" "$folder/target/release/ybox" --home "$home" --project "$folder" build cpu --no-load)
}

say "first clone"
first=$work/a
(umask 022; export YBOX_HOME=$work/home-a; clone "$first")
one=$(umask 022; assemble "$first" "$work/home-1")

say "second clone, everything about it different"
second=$work/another/place/with-a-longer-name
(
  umask 077
  export YBOX_HOME=$work/home-b CARGO_HOME=$work/cargo TZ=Asia/Kathmandu LC_ALL=C
  clone "$second"
)
other_user=()
if [ "$(id -u)" = 0 ]; then
  chmod -R a+rX "$work/another"
  other_user=(env -u HOME setpriv --reuid 65533 --regid 65533 --clear-groups)
fi
two=$(umask 027; TZ=Asia/Kathmandu LC_ALL=C assemble "$second" "$work/home-2" "${other_user[@]}")

sha256sum "$first/target/release/ytrain" "$second/target/release/ytrain" | cut -d' ' -f1 >&2
echo "$one"
echo "$two"
[ "$one" = "$two" ] || { say "the images differ"; exit 1; }
say "the same image"
