# shellcheck shell=bash
# Sourced, from the project's root: compiler flags that keep the paths of this machine out of what
# is built, so that the files don't depend on where that happens, and the pinned Rust where rustup
# has it. All release builds share them, or cargo would build what they have in common twice.

pinned_rust=$(sed -n 's/^rustc version \([^ ]*\).*/\1/p' scripts/trainer-toolchain.txt)
if rustup toolchain list 2>/dev/null | grep -q "^$pinned_rust-"; then
  export RUSTUP_TOOLCHAIN=$pinned_rust
fi

libtorch=${LIBTORCH:-$PWD/.libtorch}
# Compilers name a header by its real path where that is shorter. Of two that match, the later wins.
for pair in "$PWD=/ybox" "${CARGO_TARGET_DIR:-$PWD/target}=/ybox/target" \
  "${CARGO_HOME:-$HOME/.cargo}=/cargo" "$(rustc --print sysroot)=/rust" \
  "$libtorch=/ybox/.libtorch" "$(realpath -m "$libtorch")=/ybox/.libtorch"; do
  RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$pair"
  CFLAGS="${CFLAGS:-} -ffile-prefix-map=$pair"
  CXXFLAGS="${CXXFLAGS:-} -ffile-prefix-map=$pair"
done
export RUSTFLAGS CFLAGS CXXFLAGS
