#!/usr/bin/env bash
# Builds the trainer so that the file does not depend on where it is built: no path of this
# machine gets into it. Leaves it at target/release/ytrain.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

here=$PWD
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
map="$here=/ybox $cargo_home=/cargo $sysroot=/rust"

for pair in $map; do
  RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$pair"
  CFLAGS="${CFLAGS:-} -ffile-prefix-map=$pair"
  CXXFLAGS="${CXXFLAGS:-} -ffile-prefix-map=$pair"
done
export RUSTFLAGS CFLAGS CXXFLAGS

echo "trainer: building ytrain" >&2
cargo build --release --locked --quiet -p ytrain
