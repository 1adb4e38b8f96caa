#!/usr/bin/env bash
# COCO metrics of 36,501 objects and 500,000 detections in 5,000 pictures: ours against pycocotools.
# Goal: 20 times as fast, all twelve numbers equal to 1e-9.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/bench/common.sh
. scripts/bench/common.sh

"${compare[@]}" --what "COCO metrics, seconds" --figure seconds --pairs "${PAIRS:-2}" --inverse \
  --at-least 20 --same numbers \
  --ours "$ours metrics $work/metrics" --peer "$peer/peer_metrics.py $work/metrics"
