#!/usr/bin/env bash
# From nothing to a verified training run: sets up, builds ybox and the trainer, assembles the
# image, trains in a container, verifies the run.
#   scripts/demo.sh [--data DATA.yaml]
set -euo pipefail
start=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
ybox=$root/target/release/ybox

say() { echo "demo: $*" >&2; }

data=
while [ $# -gt 0 ]; do
  case $1 in
    --data) data=$(cd "$start" && realpath "${2:?--data needs a path}"); shift 2 ;;
    *) echo "usage: scripts/demo.sh [--data DATA.yaml]" >&2; exit 2 ;;
  esac
done

say "setting up"
"$root/scripts/setup.sh"
"$root/scripts/build-trainer.sh"

if [ -z "$data" ] && [ -e ../shared/data/bccd/data.yaml ]; then
  data=$(realpath ../shared/data/bccd/data.yaml)
fi
if [ -z "$data" ]; then
  data=$root/runs/shapes/data.yaml
  if [ ! -e "$data" ]; then
    say "drawing a data set of shapes"
    "$ybox" data synth "$root/runs/shapes" >/dev/null
  fi
  settings=(imgsz=160 epochs=20 batch=16)
else
  settings=(imgsz=320 epochs=3 batch=16)
fi

say "building the image"
image=$("$ybox" build cpu)
say "the image is $image"

say "training on $data"
out=$("$ybox" run train model=yolov12n data="$data" "${settings[@]}" name=demo)
echo "$out"

run=$(ls -td runs/train/demo* | head -n 1)
say "verifying $run"
"$ybox" verify "$run"
