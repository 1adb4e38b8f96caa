#!/usr/bin/env bash
# Builds the trainer for images: target/release/ytrain. What is known of its sameness elsewhere is in
# docs/reproducibility.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/release-flags.sh
. scripts/release-flags.sh

echo "trainer: building ytrain" >&2
cargo build --release --locked --quiet -p ytrain
