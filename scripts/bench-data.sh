#!/usr/bin/env bash
# The data pipeline on one core: mosaic, affine, HSV and flip to 640 pixels, pictures per second of
# our loader and of the peer's, both pinned to one processor. Goal: 4 times the peer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/bench/common.sh
. scripts/bench/common.sh

yaml=$(subset data 205 8)
"${compare[@]}" --what "data pipeline at 640, defaults, pictures per second" \
  --figure images_per_second --pairs "${PAIRS:-5}" --at-least 4 \
  --ours "taskset -c 0 $ours data $yaml" \
  --peer "taskset -c 0 $peer/peer_data.py $yaml 640 16 1 none" || missed=1
"${compare[@]}" --what "the same, all pictures decoded once and kept in memory by both" \
  --figure images_per_second --pairs "${PAIRS:-5}" \
  --ours "taskset -c 0 $ours data $yaml" \
  --peer "taskset -c 0 $peer/peer_data.py $yaml 640 16 1 ram"
exit "${missed:-0}"
