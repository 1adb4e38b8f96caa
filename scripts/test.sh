#!/usr/bin/env bash
# Everything that CI checks, from a clean clone: format, lints, licences, unit and integration
# tests against a real Docker engine, the same bits on other CPUs, doc tests, and the main job end to
# end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "test: $*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

say "setting up"
scripts/setup.sh
scripts/build-trainer.sh

say "format"
cargo fmt --all --check
say "lints"
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
if command -v cargo-deny >/dev/null; then
  say "licences, bans and sources"
  cargo deny --offline check licenses bans sources
else
  say "cargo-deny is not installed: licences, bans and sources not checked"
fi

if [ -z "${DOCKER_HOST:-}" ] && ! docker version >/dev/null 2>&1; then
  say "starting a private Docker engine"
  engine=$(mktemp -d)
  stop_engine() {
    as_root scripts/dockerd.sh stop "$engine" || true
    as_root rm -rf "$engine"
  }
  trap stop_engine EXIT
  export DOCKER_HOST
  DOCKER_HOST=$(as_root scripts/dockerd.sh start "$engine" | sed -n 's/^DOCKER_HOST=//p')
  as_root chmod 666 "${DOCKER_HOST#unix://}"
fi

say "the oracle for COCO metrics"
scripts/oracle-venv.sh
say "the oracle for signatures"
scripts/cosign.sh
say "a registry that lists referrers"
scripts/referrers-registry.sh

say "the image"
target/release/ybox build cpu

# Where a real thing is missing, a test fails instead of passing over it.
export YBOX_TEST_REQUIRE_DOCKER=1 YBOX_TEST_REQUIRE_IMAGE=1
say "tests"
if command -v cargo-nextest >/dev/null; then
  cargo nextest run --workspace --locked
else
  cargo test --workspace --locked --lib --bins --tests
fi
say "the same bits on other CPUs"
scripts/check-portable.sh
say "doc tests"
cargo test --workspace --locked --doc --quiet
say "all checks passed"
