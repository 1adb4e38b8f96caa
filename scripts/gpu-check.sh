#!/usr/bin/env bash
# Checks on a machine with an NVIDIA GPU what the project's own tests can't: the probe against
# nvidia-smi, the attention paths against the plain one, that 50 training steps give the same bits
# twice and under each policy of checkpointing, the predicted memory against the measured, and
# speed. Prints a table; writes gpu-check.json and gpu-check.md, whose lines are for docs/gpu.md.
#   scripts/gpu-check.sh --ybox PATH --ytrain PATH --libs DIR [--device N] [--model NAME]
#                        [--batch N] [--imgsz N] [--steps N] [--out DIR]
# DIR holds libtorch_cuda.so with libtorch_cpu.so beside it: the lib folder of an unpacked CUDA
# image, or torch/lib of a PyTorch 2.13 with CUDA. Libraries in nvidia/*/lib beside torch are found.
# Exit status: 0 all held, 1 something did not, 2 usage, 4 there is no GPU to check.
set -euo pipefail

ybox= ytrain= libs= device=0 model=yolov12n batch=16 imgsz=640 steps=50 out=.
usage() { sed -n '/^#   /s/^#   //p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
  [ $# -gt 1 ] || usage
  case $1 in
    --ybox) ybox=$(realpath "$2") ;;
    --ytrain) ytrain=$(realpath "$2") ;;
    --libs) libs=$(realpath "$2") ;;
    --device) device=$2 ;;
    --model) model=$2 ;;
    --batch) batch=$2 ;;
    --imgsz) imgsz=$2 ;;
    --steps) steps=$2 ;;
    --out) out=$2 ;;
    *) usage ;;
  esac
  shift 2
done
for needed in "$ybox" "$ytrain" "$libs"; do [ -e "$needed" ] || usage; done
command -v python3 > /dev/null || { echo "gpu-check: python3 is needed" >&2; exit 2; }

# PyTorch's wheels keep NVIDIA's libraries in folders of their own, beside torch.
paths=$libs
for folder in "$libs"/../../nvidia/*/lib; do [ -d "$folder" ] && paths=$paths:$(realpath "$folder"); done
export LD_LIBRARY_PATH=$paths${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
on=cuda:$device

if ! "$ytrain" check device --device "$on" > "$work/device.json" 2> "$work/error"; then
  echo "gpu-check: there is no GPU to check here" >&2
  cat "$work/error" >&2
  exit 4
fi

# What did not run has no file, and the table says so.
ask() { # NAME ARGUMENTS...
  local name=$1
  shift
  "$ytrain" check "$@" --device "$on" > "$work/$name.json" 2> "$work/$name.error" || rm "$work/$name.json"
}
take_steps() { # NAME POLICY ATTENTION AMP
  ask "steps-$1" steps --model "$model" --batch "$batch" --imgsz "$imgsz" --steps "$steps" \
    --checkpointing "$2" --attention "$3" --amp "$4"
}

"$ybox" probe --json > "$work/probe.json"
"$ybox" plan --json "device=$device" --model "$model" --batch "$batch" --imgsz "$imgsz" \
  > "$work/plan.json" || true
# A plan that failed says nothing: the table says that nothing was predicted.
[ -s "$work/plan.json" ] || echo '{}' > "$work/plan.json"
nvidia-smi --query-gpu=name,uuid,driver_version,compute_cap,memory.total --format=csv,noheader,nounits \
  > "$work/smi.csv" 2> /dev/null || true
attention=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1])).get("attention", "safe"))' "$work/plan.json")
# What a run computes in, which the predicted memory is for.
dtype=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1])).get("memory", {}).get("dtype", "fp32"))' "$work/plan.json")
amp=${dtype/fp32/off}

ask attention attention
take_steps again none "$attention" "$amp"
for policy in none attention layer layer+head; do
  take_steps "$policy" "$policy" "$attention" "$amp"
done

python3 "$(dirname "$0")/bench/gpu_check.py" "$work" "$out"
