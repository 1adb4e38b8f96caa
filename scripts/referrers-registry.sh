#!/usr/bin/env bash
# Makes target/referrers-registry, a registry that lists referrers, which Debian's docker-registry does
# not: that of go-containerregistry, from Debian trixie's package and compiled by its Go. The tests
# that need it skip where it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=target/referrers-registry
source=tests/registry/referrers.go

if [ -x "$target" ] && [ ! "$source" -nt "$target" ]; then
  echo "$target is complete" >&2
  exit 0
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if ! scripts/unpack-trixie.sh "$scratch" \
  golang-1.24-go golang-1.24-src golang-github-google-go-containerregistry-dev; then
  echo "$target stays missing, and what needs it is not tested" >&2
  exit 0
fi
export GOROOT=$scratch/usr/lib/go-1.24 GOPATH=$scratch/usr/share/gocode GOCACHE=$scratch/cache
export GO111MODULE=off GOTOOLCHAIN=local GOENV=off CGO_ENABLED=0
mkdir -p target
"$GOROOT/bin/go" build -trimpath -ldflags='-s -w' -o "$target" "$source"
echo "$target is ready" >&2
