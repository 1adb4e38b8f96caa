#!/usr/bin/env bash
# Inference of yolo12n at 640, one picture at a time, with its boxes decoded but not suppressed:
# ours against the peer's TorchScript export (goal: at least as fast), and the gap to its ONNX
# export in ONNX Runtime.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/bench/common.sh
. scripts/bench/common.sh

mine="$ours infer --threads $OMP_NUM_THREADS"
# The peer's export is made beside where it is called.
cd "$work"
"${compare[@]}" --what "inference at 640, median ms per picture, peer's TorchScript" \
  --figure median_ms --pairs "${PAIRS:-5}" --at-most 1.0 \
  --ours "$mine" --peer "$peer/peer_infer.py torchscript $work/exports 640 30" || missed=1
"${compare[@]}" --what "the same, peer's graph in ONNX Runtime" \
  --figure median_ms --pairs "${PAIRS:-5}" \
  --ours "$mine" --peer "$peer/peer_infer.py onnx $work/exports 640 30"
exit "${missed:-0}"
