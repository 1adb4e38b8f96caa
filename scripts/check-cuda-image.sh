#!/usr/bin/env bash
# Builds the images cuda13 and cuda13-slim for real and checks what the tests, which use small
# stand-ins, can't: the same digest from another folder and user with an empty store, the closure
# (each build resolves every library, version and symbol), the sizes, what a changed trainer costs,
# that the libraries open on a machine without a GPU, and that the trainer says there what is missing.
# Prints where the bytes go. Takes about six minutes, a 2.4 GB download and 15 GB below TMPDIR.
#   scripts/check-cuda-image.sh [YBOX [YTRAIN]]
# Default: target/release. YBOX_HOME, if it is set, is where the downloads are looked for and kept.
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ybox=$(realpath "${1:-$project/target/release/ybox}")
ytrain=$(realpath "${2:-$project/target/release/ytrain}")
for tool in jq zstd bwrap cc; do
  command -v "$tool" >/dev/null || { echo "$0 needs $tool" >&2; exit 2; }
done

# Most bytes that an image may have, compressed.
declare -A most=([cuda13]=1950000000 [cuda13-slim]=1250000000)

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
chmod 755 "$work"
downloads=${YBOX_HOME:-$work/downloads}

say() { echo "cuda image: $*" >&2; }
die() { say "$*"; exit 1; }

# copy FOLDER TRAINER: a copy of what `ybox build` reads.
copy() {
  mkdir -p "$1"
  cp -r "$project/docker" "$project/configs" "$1"
  install -m 755 "$2" "$1/ytrain"
}

# build HOME FOLDER VARIANT [PREFIX...]: JSON of the image.
build() {
  local home=$1 folder=$2 variant=$3
  shift 3
  (cd / && "$@" "$ybox" --home "$home" --project "$folder" --offline --json build "$variant" \
    --no-load --trainer "$folder/ytrain")
}

# home FOLDER: an empty store beside the downloads.
home() {
  mkdir -p "$1"
  cp -rl "$downloads/cache" "$1/cache" 2>/dev/null || cp -r "$downloads/cache" "$1/cache"
}

unpack() {
  local digest
  mkdir -p "$2"
  jq -r '.layers[].digest' <<<"$1" | while read -r digest; do
    zstd -dcq "$work/one/store/blobs/sha256/${digest#sha256:}" | tar -x -C "$2"
  done
}

# inside ROOT COMMAND...: runs in an unpacked image, without the host's libraries.
inside() {
  local root=$1
  shift
  bwrap --ro-bind "$root" / --tmpfs /tmp --ro-bind "$work/open" /tmp/open --dev /dev --proc /proc \
    --unshare-all --clearenv "$@"
}

# opens ROOT LIBRARY[:FUNCTION]...: opens libraries in one process, and calls.
opens() {
  local root=$1
  shift
  inside "$root" /tmp/open "$@"
}

make_opener() {
  cc -O1 -x c -o "$work/open" - <<'C'
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
int main(int count, char **names) {
    for (int i = 1; i < count; i++) {
        char *function = strchr(names[i], ':');
        if (function) *function++ = 0;
        void *library = dlopen(names[i], RTLD_NOW | RTLD_GLOBAL);
        if (!library) { fprintf(stderr, "%s\n", dlerror()); return 1; }
        if (function) ((void (*)(void))dlsym(library, function))();
    }
    return 0;
}
C
}

# The largest files of an unpacked image, each compressed by itself as layers are.
table() {
  printf '%10s %10s  %s\n' bytes zstd-9 file
  find "$1" -type f -size +1M -printf '%s %P\n' | sort -rn | while read -r size path; do
    printf '%10d %10d  %s\n' "$size" "$(zstd -9 -qc "$1/$path" | wc -c)" "${path##*/}"
  done
}

# Whether the layers that the locks alone decide are the pinned ones.
pinned() {
  local line
  jq -r '.layers[] | select(.name != "trainer" and .name != "presets")
    | "\(.name) \(.diff_id) \(.digest)"' <<<"$1" |
    while read -r line; do
      grep -qxF "$line" "$project/tests/golden/cuda13.txt" || { say "not pinned: $line"; exit 1; }
    done
}

check() {
  local variant=$1 image size start
  image=$(build "$work/one" "$work/a" "$variant")
  size=$(jq .size <<<"$image")
  jq -r '.layers[].digest' <<<"$image" | sort >"$work/$variant.layers"
  say "$variant: $(jq -r .manifest <<<"$image"), $size bytes compressed"
  [ "$size" -le "${most[$variant]}" ] || die "$variant is larger than ${most[$variant]} bytes"

  pinned "$image" || die "$variant: other layers than in tests/golden/cuda13.txt"

  local two
  two=$(umask 077; TZ=Asia/Kathmandu LC_ALL=C build "$work/two" "$work/b/c" "$variant" "${other[@]}")
  [ "$(jq -r .manifest <<<"$two")" = "$(jq -r .manifest <<<"$image")" ] || die "$variant differs"
  say "$variant: the same digest from another folder${other:+ and user}"

  start=$(date +%s%N)
  build "$work/one" "$work/changed" "$variant" >/dev/null
  say "$variant: with a changed trainer $((($(date +%s%N) - start) / 1000000)) ms"

  unpack "$image" "$work/$variant"
  opens "$work/$variant" /opt/ybox/lib/libtorch_cuda.so ||
    die "$variant: libtorch_cuda.so cannot be opened"
  say "$variant: libtorch_cuda.so opens without a GPU"
  no_driver "$variant"
}

# The trainer, asked for a GPU, says that there is no driver, and nothing else.
no_driver() {
  local said status=0
  said=$(inside "$work/$1" /opt/ybox/bin/ytrain check device --device cuda:0 2>&1) || status=$?
  [ "$status" != 0 ] && [[ $said == "error: there is no NVIDIA driver"* ]] ||
    die "$1: without a driver the trainer ended with status $status and said: $said"
  say "$1: without a driver the trainer ends with status $status: ${said%%$'\n'*}"
}

mkdir -p "$downloads"
for variant in "${!most[@]}"; do
  "$ybox" --home "$downloads" --project "$project" fetch "$variant" >/dev/null
done
copy "$work/a" "$ytrain"
copy "$work/b/c" "$ytrain"
cp "$ytrain" "$work/changed-trainer"
# Other bytes at the end change the file and nothing that is read of it.
echo changed >>"$work/changed-trainer"
copy "$work/changed" "$work/changed-trainer"
home "$work/one"
mkdir "$work/two"
cp -r "$downloads/cache" "$work/two"
other=()
if [ "$(id -u)" = 0 ]; then
  chown -R 65533:65533 "$work/two"
  other=(env -u HOME setpriv --reuid 65533 --regid 65533 --clear-groups)
fi
make_opener

check cuda13
check cuda13-slim
shared=$(comm -12 "$work/cuda13.layers" "$work/cuda13-slim.layers" | wc -l)
say "$shared layers are those of both"

if said=$(opens "$work/cuda13-slim" /opt/ybox/lib/libcusparse.so.12:cusparseCreate 2>&1); then
  die "a stand-in was called and said nothing"
fi
say "a stand-in that is called: $said"
table "$work/cuda13"
