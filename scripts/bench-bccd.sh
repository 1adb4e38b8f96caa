#!/usr/bin/env bash
# What training comes to: yolo12n from scratch on the blood cells, 256 pixels, batches of 16, 20
# epochs, two seeds, by the peer and by ours with the same settings. Goal: our mean mAP50-95 on val is
# at least the peer's. A run that is finished is not run again; one that was interrupted is.
#   scripts/bench-bccd.sh [ours|peer]    only that side (default: both, then the comparison)
#   EPOCHS=20 OUT=target/bench/bccd      another length or place
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
sides=${1:-ours peer}
# shellcheck source=scripts/bench/common.sh
. scripts/bench/common.sh

epochs=${EPOCHS:-20}
out=$(realpath -m "${OUT:-$work/bccd}")
yaml=$(subset bccd 205 87)

train_ours() {
  "$ours" prepare "$yaml" "$2" model=yolo12n imgsz=256 batch=16 epochs="$epochs" seed="$1" \
    attention=flash numerics=fast threads="$OMP_NUM_THREADS"
  "$ytrain" train --config "$2/config.yaml" --manifest "$2/data.manifest" \
    --data "$(dirname "$yaml")" --out "$2" >"$2/log"
}

train_peer() {
  # shellcheck disable=SC2086
  $peer/peer_train.py "$yaml" 256 16 "$epochs" "$1" "$2" >"$2/log" 2>&1
}

for side in $sides; do
  for seed in 0 1; do
    folder=$out/$side-$seed
    if [ -e "$folder/finished" ]; then
      say "$side, seed $seed: done before"
      continue
    fi
    say "$side, seed $seed: training for $epochs epochs"
    rm -rf "$folder"
    mkdir -p "$folder"
    "train_$side" "$seed" "$folder"
    touch "$folder/finished"
  done
done
python3 scripts/bench/bccd_means.py "$out"
