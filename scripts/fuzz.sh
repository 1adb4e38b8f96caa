#!/usr/bin/env bash
# Fuzzes every parser of what comes from outside, or the targets named, each for so many seconds,
# from the corpus below fuzz/corpus; prints how often each was executed, and stops at a finding.
# Needs a nightly Rust and cargo-fuzz (`cargo install cargo-fuzz`).
#   scripts/fuzz.sh [TARGET...]        SECONDS_EACH=600 by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(cargo +nightly fuzz list)
for target in "${targets[@]}"; do
  # New inputs go to the scratch folder: the corpus of the project stays small.
  found=fuzz/target/found/$target
  mkdir -p "$found"
  cargo +nightly fuzz run "$target" "$found" "fuzz/corpus/$target" -- \
    -max_total_time="${SECONDS_EACH:-600}" -max_len=65536 -rss_limit_mb=2048 -timeout=20 \
    -print_final_stats=1 2>fuzz/target/"$target".log ||
    { tail -n 40 fuzz/target/"$target".log >&2; echo "fuzz: $target found something" >&2; exit 1; }
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' fuzz/target/"$target".log)
  echo "$target: $runs executions in ${SECONDS_EACH:-600} s, nothing found"
done
