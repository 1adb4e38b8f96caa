# shellcheck shell=bash
# Sourced, from the project's root: compiler flags that keep the paths of this machine out of what
# is built, so that the files don't depend on where that happens. All release builds share them, or
# cargo would build what they have in common twice.

for pair in "$PWD=/ybox" "${CARGO_HOME:-$HOME/.cargo}=/cargo" "$(rustc --print sysroot)=/rust"; do
  RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$pair"
  CFLAGS="${CFLAGS:-} -ffile-prefix-map=$pair"
  CXXFLAGS="${CXXFLAGS:-} -ffile-prefix-map=$pair"
done
export RUSTFLAGS CFLAGS CXXFLAGS
