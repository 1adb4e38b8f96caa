#!/usr/bin/env bash
# Manifests and verification of a data set of 120,000 files, once with tiny pictures and once with
# ones of 50 kB (3 GB, which have to fit into the page cache): against `sha256sum` on as many
# processes as there are processors. Goals: a repeated run or verification starts in 2 s and takes
# at most 200 MiB. The runs are of a stand-in for the trainer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/release-flags.sh
. scripts/release-flags.sh
echo "bench: building" >&2
cargo build --release --locked --quiet -p ybox --bin ybox --example recorded_run

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ybox="$PWD/target/release/ybox --home $work/home"
timed="python3 $PWD/scripts/bench/timed.py"
compare="python3 $PWD/scripts/bench/compare.py"
recorded_run=$PWD/target/release/examples/recorded_run
many_files=$PWD/scripts/bench/many_files.py
missed=0

for size in 1200 50000; do
  rm -rf "$work"/*
  mkdir "$work/work"
  cd "$work/work"
  echo "bench: writing 120,000 files" >&2
  python3 "$many_files" data 60000 "$size"
  "$recorded_run" "$work" >/dev/null
  bytes=$(find data/images data/labels -type f -printf '%s\n' | awk '{s += $1} END {printf "%.0f", s}')
  hash_all="find data/images data/labels -type f -print0 | xargs -0 -P $(nproc) -n 256 sha256sum"
  start="$ybox run train data=data/data.yaml epochs=2 imgsz=320 --engine embedded"

  echo "120,000 files, $bytes bytes"
  eval "$hash_all" >/dev/null # The page cache is warm for both sides.
  $compare --what "verify --deep" --pairs "${PAIRS:-3}" --inverse \
    --figure seconds --also cpu_seconds \
    --ours "$timed --bytes $bytes $ybox verify runs/train/exp --deep" \
    --peer "$timed --bytes $bytes sh -c '$hash_all'"
  rm -rf "$work/home/manifests"
  echo "the first run, until the container starts"
  $timed --bytes "$bytes" --goal peak_mib=200 --until "run folder:" $start || missed=1
  echo "a repeated run, until the container starts"
  $timed --goal seconds=2 --goal peak_mib=200 --until "run folder:" $start || missed=1
  echo "a repeated verify"
  $timed --goal seconds=2 --goal peak_mib=200 $ybox verify runs/train/exp || missed=1
  cd "$OLDPWD"
done
exit $missed
