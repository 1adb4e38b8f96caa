#!/usr/bin/env bash
# Makes target/cosign/usr/bin/cosign, against which signatures are tested: a link to the one that is
# installed, or, where none is, Debian trixie's. The tests that need it skip where it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=target/cosign

if "$target/usr/bin/cosign" version >/dev/null 2>&1; then
  echo "$target is complete" >&2
  exit 0
fi
mkdir -p "$target/usr/bin"
if command -v cosign >/dev/null; then
  ln -sfn "$(command -v cosign)" "$target/usr/bin/cosign"
  exit 0
fi
if ! scripts/unpack-trixie.sh "$target" cosign; then
  echo "cosign stays missing, and what needs it is not tested" >&2
  exit 0
fi
"$target/usr/bin/cosign" version >/dev/null
echo "$target is ready" >&2
