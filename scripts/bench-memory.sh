#!/usr/bin/env bash
# Memory of training steps of yolo12n at 640 with batches of 16: the peak above the built model, of
# the peer and of ours without checkpointing and with the policy `layer`, and what that costs in
# time. Goals: 0.75 and 0.30 times the peer's memory, 1.35 times the time. The peak is that of two
# steps; that of the first alone, which leaves out what an allocator loses between steps, is printed
# too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/bench/common.sh
. scripts/bench/common.sh

yaml=$(subset memory 32 4)
step="$ours step $yaml --threads $OMP_NUM_THREADS --checkpointing"
for goal in none:0.75 layer:0.30; do
  "${compare[@]}" --what "peak memory of a step above the model in MiB, policy ${goal%:*}" \
    --figure peak_mib --also first_peak_mib --pairs "${PAIRS:-1}" --at-most "${goal#*:}" \
    --ours "$step ${goal%:*}" --peer "$peer/peer_step.py $yaml 640 16 1" || missed=1
done
"${compare[@]}" --what "time of a step in ms, policy layer (ours) against none (peer)" \
  --figure step_ms --pairs "${PAIRS:-3}" --at-most 1.35 \
  --ours "$step layer" --peer "$step none" || missed=1
exit "${missed:-0}"
