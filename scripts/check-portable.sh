#!/usr/bin/env bash
# Shows that numerics `portable` gives the same bits whatever the CPU: one tiny training of drawn
# shapes, here with other core counts, loader threads and settings of the environment, with MKL
# taking this CPU for one of the other maker, and in the emulator qemu-user as CPUs of Intel and
# AMD. Prints a line for each; exits 1 when any differs, and says at which step.
#   scripts/check-portable.sh [--native] [--thorough] [--ytrain PATH] [--ybox PATH]
# --native leaves the emulator out. --thorough emulates more CPUs, and trains another recipe too
# (larger pictures, plain attention, SGD): about ten minutes instead of one.
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ytrain=$project/target/release/ytrain
ybox=$project/target/release/ybox
cpus=(Haswell Skylake-Client EPYC EPYC-Milan)
recipes=(small)
emulate=yes
while [ $# -gt 0 ]; do
  case $1 in
    --native) emulate= ;;
    --thorough)
      cpus+=(Broadwell Skylake-Server Icelake-Server EPYC-Rome)
      recipes+=(large)
      ;;
    --ytrain) ytrain=$(realpath "${2:?--ytrain needs a path}"); shift ;;
    --ybox) ybox=$(realpath "${2:?--ybox needs a path}"); shift ;;
    *) echo "usage: $0 [--native] [--thorough] [--ytrain PATH] [--ybox PATH]" >&2; exit 2 ;;
  esac
  shift
done
export LD_LIBRARY_PATH="${LIBTORCH:-$project/.libtorch}/lib"

say() { echo "portable: $*" >&2; }

for program in "$ytrain" "$ybox"; do
  [ -x "$program" ] || { say "$program is missing: run scripts/setup.sh and scripts/build-trainer.sh"; exit 2; }
done
qemu=$(command -v qemu-x86_64 || command -v qemu-x86_64-static || true)
if [ -n "$emulate" ] && [ -z "$qemu" ]; then
  say "the emulator is missing: install qemu-user, or leave it out with --native"
  exit 2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$ybox" data synth shapes --train 8 --val 3 --size 96 >/dev/null
(
  cd shapes
  for split in train val; do
    find "images/$split" "labels/$split" -type f | LC_ALL=C sort | while read -r file; do
      echo "$(sha256sum "$file" | cut -d' ' -f1) $(stat -c %s "$file") $split $file"
    done
  done
) >data.manifest

# recipe NAME KEY=VALUE...: a resolved config.
recipe() {
  local name=$1 pair
  shift
  {
    printf '%s\n' 'task: train' 'model: yolov12n' 'names: [disc, square, triangle]' 'amp: off' \
      'numerics: portable' 'conf: 0.001' 'iou: 0.7' 'max_det: 300' 'close_mosaic: 0' 'nbs: 4' \
      'warmup_epochs: 0' 'mixup: 0.5'
    for pair in "$@"; do echo "${pair%%=*}: ${pair#*=}"; done
  } >"$name.yaml"
}
recipe small epochs=1 batch=4 imgsz=64 attention=flash threads=2 optimizer=AdamW
recipe large epochs=2 batch=4 imgsz=192 attention=safe threads=3 optimizer=SGD degrees=10 \
  multi_scale=0.3 flipud=0.5

# train RECIPE NAME COMMAND...: one training; a line with the hash of what it wrote.
train() {
  local recipe=$1 name=$2 out=$work/out/$1/$2 start=$SECONDS hash
  shift 2
  mkdir -p "$out"
  if ! "$@" train --config "$recipe.yaml" --manifest data.manifest --data shapes --out "$out" \
    --no-plots --workers "${workers:-2}" >"$out/said" 2>&1; then
    say "$name failed:"
    grep -v 'TCG doesn.t support' "$out/said" | tail -n 5 >&2
    failed=1
    return
  fi
  (cd "$out" && sha256sum weights/last.safetensors steps.chain results.csv) >"$out.hash"
  hash=$(sha256sum "$out.hash" | cut -c1-16)
  printf '%-6s %-28s %4d s  %s\n' "$recipe" "$name" $((SECONDS - start)) "$hash"
  cmp -s "$out.hash" "out/$recipe/here.hash" || differs "$name" "$out" "out/$recipe/here"
}

# differs NAME OUT REFERENCE: says where.
differs() {
  local line
  failed=1
  line=$(cmp "$2/steps.chain" "$3/steps.chain" | sed -n 's/.* line //p')
  if [ -n "$line" ]; then
    say "$1 differs from step $line on:"
    sed -n "${line}p" "$3/steps.chain" "$2/steps.chain" >&2
  else
    say "$1 differs after the last step: $(diff "$2.hash" "$3.hash" | sed -n 's/^< .*  //p' | xargs)"
  fi
}

# A library that makes MKL see the other maker's CPU.
case $(grep -m 1 vendor_id /proc/cpuinfo) in *Intel*) maker=AMD ;; *) maker=INTEL ;; esac
"${CC:-cc}" -D"$maker" -shared -fPIC -o maker.so "$project/tests/portable/maker.c"

failed=
# Threads that wait asleep: emulated cores share the real ones.
export OMP_WAIT_POLICY=passive
for recipe in "${recipes[@]}"; do
  train "$recipe" here "$ytrain"
  train "$recipe" 'one core' taskset -c 0 "$ytrain"
  workers=5 train "$recipe" 'five loader threads' "$ytrain"
  train "$recipe" 'OMP_NUM_THREADS=7' env OMP_NUM_THREADS=7 MKL_NUM_THREADS=5 "$ytrain"
  train "$recipe" "MKL as on $maker" env LD_PRELOAD="$work/maker.so" "$ytrain"
  if [ -n "$emulate" ]; then
    for cpu in "${cpus[@]}"; do train "$recipe" "emulated $cpu" "$qemu" -cpu "$cpu" "$ytrain"; done
  fi
done
[ -z "$failed" ] || exit 1
say "the same bits everywhere"
