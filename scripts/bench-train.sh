#!/usr/bin/env bash
# Training speed: pictures per second of the second epoch of yolo12n, in fp32 with numerics `fast`,
# at 320 pixels with batches of 16 and at 640 with 8. The whole training runs on both sides: data,
# forward, loss, backward, optimizer, moving average. Goal: 1.3 times the peer.
#   PAIRS=3 scripts/bench-train.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/bench/common.sh
. scripts/bench/common.sh

# compare_at IMGSZ BATCH PICTURES
compare_at() {
  local yaml out
  yaml=$(subset "train-$3" "$3" 4)
  out=$work/train-$1
  "$ours" prepare "$yaml" "$out" model=yolo12n imgsz="$1" batch="$2" epochs=2 attention=flash \
    numerics=fast threads="$OMP_NUM_THREADS"
  "${compare[@]}" --what "training at $1, batch $2, pictures per second" \
    --figure images_per_second --pairs "${PAIRS:-3}" --at-least 1.3 \
    --ours "scripts/bench/ours_train.sh $ytrain $yaml $out" \
    --peer "$peer/peer_train.py $yaml $1 $2 2 0 $out/peer"
}

compare_at 320 16 96 || missed=1
compare_at 640 8 40 || missed=1
exit "${missed:-0}"
