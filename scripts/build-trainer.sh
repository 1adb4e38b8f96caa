#!/usr/bin/env bash
# Builds the trainer for images: target/release/ytrain. The compilers of scripts/trainer-toolchain.txt
# give the same file everywhere (docs/reproducibility.md); others are used too, and named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/release-flags.sh
. scripts/release-flags.sh

echo "trainer: building ytrain" >&2
cargo build --release --locked --quiet -p ytrain

# What the compilers wrote into the file, not what is installed now.
comment=$(readelf --wide --string-dump=.comment target/release/ytrain)
while read -r compiler; do
  grep -qF "$compiler" <<<"$comment" && continue
  echo "trainer: not built by the pinned \"$compiler\": its file, and so the image's digest, may differ" \
    "from what others build" >&2
done <scripts/trainer-toolchain.txt
