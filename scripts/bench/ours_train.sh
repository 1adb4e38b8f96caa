#!/usr/bin/env bash
# Trains with the config and manifest in a folder; prints the pictures per second of the last epoch.
#   ours_train.sh YTRAIN DATA_YAML FOLDER
set -euo pipefail
ytrain=$1 data=$(dirname "$2") out=$3

rm -rf "$out/ours"
mkdir -p "$out/ours"
"$ytrain" train --config "$out/config.yaml" --manifest "$out/data.manifest" --data "$data" \
  --out "$out/ours" --no-plots |
  jq -cn 'last(inputs | select(.event == "epoch")) | {images_per_second}'
