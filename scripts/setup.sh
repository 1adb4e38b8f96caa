#!/usr/bin/env bash
# Installs what building and running ybox needs on Debian and Ubuntu, and lays out the pinned
# libtorch that the trainer is built against. Does only what is missing; says each thing it does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The oldest Rust that the workspace builds with (Cargo.toml's rust-version).
rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

say() { echo "setup: $*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install PACKAGE...: with apt, refreshing its lists once.
install() {
  say "installing $*"
  if [ -z "${lists_fresh:-}" ]; then
    as_root apt-get update -qq
    lists_fresh=1
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need COMMAND PACKAGE: collects the packages whose command is missing.
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }

need c++ g++
# jemalloc is built with it.
need make make
need bwrap bubblewrap
need gpgv gpgv
need python3 python3
need jq jq
# scripts/check-portable.sh emulates other CPUs.
command -v qemu-x86_64-static >/dev/null || need qemu-x86_64 qemu-user
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
# The tests of push and pull talk to a real registry, and to other clients of it.
need docker-registry docker-registry
need skopeo skopeo
need umoci umoci
need podman podman
need openssl openssl
# ybox asks pip for the index that pip uses, and on Ubuntu debootstrap for Debian's mirror.
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
# The oracles of the tests live in a virtual environment.
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
# shellcheck disable=SC1091
if [ "$(. /etc/os-release && echo "${ID:-}")" = ubuntu ]; then need debootstrap debootstrap; fi
if [ "${#missing[@]}" -gt 0 ]; then install "${missing[@]}"; fi

rust_is_new_enough() {
  command -v cargo >/dev/null || return 1
  local have
  have=$(cargo --version | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$rust" "$have" | sort -V | head -n 1)" = "$rust" ]
}

if ! rust_is_new_enough; then
  if ! command -v rustup >/dev/null && ! install rustup; then
    say "this release has no rustup package: install Rust $rust or newer, then call this again"
    exit 1
  fi
  pinned=$(sed -n 's/^rustc version \([^ ]*\).*/\1/p' scripts/trainer-toolchain.txt)
  say "installing Rust $pinned"
  rustup toolchain install "$pinned" --profile minimal --component clippy,rustfmt
  rustup default "$pinned"
fi

ybox=target/release/ybox
say "building ybox"
# shellcheck source=scripts/release-flags.sh
. scripts/release-flags.sh
cargo build --release --locked --quiet -p ybox
say "fetching the pinned inputs of the cpu image"
"$ybox" fetch cpu --libtorch .libtorch
