#!/usr/bin/env bash
# Shows that an image does not depend on where and by whom it is built: two clones of the last
# commit, in folders of different names, with other homes, cargo homes, umasks, locales and time
# zones, an empty cache each, and (as root) another user for the second assembly. Prints both
# digests; exits 1 when they differ. Takes about ten minutes and 6 GB below TMPDIR.
#   scripts/check-reproducible.sh [--trainer]
# --trainer builds nothing but the trainer, twice, and compares the files: the second time another
# user of another host, who has the toolchain, the crates and libtorch at other places.
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case $# in
  0) only= ;;
  *) [ "$*" = --trainer ] || { echo "usage: $0 [--trainer]" >&2; exit 2; }
    only=trainer ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
first=$work/a
second=$work/another/place/with-a-longer-name

say() { echo "reproducible: $*" >&2; }

commit=$(git -C "$project" rev-parse HEAD)

# copy FOLDER: the commit that was the last when this began.
copy() {
  mkdir -p "$(dirname "$1")"
  git clone --quiet "$project" "$1"
  git -C "$1" checkout --quiet "$commit"
}

# elsewhere FOLDER COMMAND...: runs a command in FOLDER as another user of another host, with
# everything but the project at another place.
elsewhere() {
  local folder=$1 toolchain cargo=${CARGO_HOME:-$HOME/.cargo}
  shift
  toolchain=$(rustc --print sysroot)
  bwrap --dev-bind / / --tmpfs /mnt --bind "$toolchain" /mnt/rust --bind "$cargo" /mnt/crates \
    --unshare-user --uid 1234 --gid 4321 --unshare-uts --hostname elsewhere --chdir "$folder" \
    --setenv HOME /mnt --setenv CARGO_HOME /mnt/crates --setenv USER other \
    --setenv PATH "/mnt/rust/bin:/usr/bin:/bin" --setenv TZ Asia/Kathmandu --setenv LC_ALL C \
    --unsetenv LIBTORCH --unsetenv LD_LIBRARY_PATH "$@"
}

# same WHAT ONE TWO: prints both.
same() {
  printf '%s\n' "$2" "$3"
  [ "$2" = "$3" ] || { say "$1 differ"; exit 1; }
  say "the same $1"
}

digest() { sha256sum "$1" | cut -d' ' -f1; }

trainers() {
  say "first trainer"
  copy "$first"
  (umask 022; LIBTORCH=$(realpath "$project/.libtorch") "$first/scripts/build-trainer.sh")
  say "second trainer, everything about it different"
  copy "$second"
  cp -aL "$project/.libtorch" "$second/.libtorch"
  (umask 077; elsewhere "$second" scripts/build-trainer.sh)
  readelf --wide --string-dump=.comment "$first/target/release/ytrain" >&2
  same trainers "$(digest "$first/target/release/ytrain")" "$(digest "$second/target/release/ytrain")"
}

# clone FOLDER: the last commit, with everything that building makes.
clone() {
  copy "$1"
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

images() {
  say "first clone"
  (umask 022; export YBOX_HOME=$work/home-a; clone "$first" >&2)
  one=$(umask 022; assemble "$first" "$work/home-1")
  say "second clone, everything about it different"
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
  same images "$one" "$two"
}

if [ -n "$only" ]; then trainers; else images; fi
