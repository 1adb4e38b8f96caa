#!/usr/bin/env bash
# Makes target/cosign/usr/bin/cosign, against which signatures are tested: a link to the one that is
# installed, or, where none is, that of Debian trixie from the mirror that apt is set to, checked by
# apt, unpacked and not installed. The tests that need it skip where it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=target/cosign
suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

if "$target/usr/bin/cosign" version >/dev/null 2>&1; then
  echo "$target is complete" >&2
  exit 0
fi
mkdir -p "$target/usr/bin"
if command -v cosign >/dev/null; then
  ln -sfn "$(command -v cosign)" "$target/usr/bin/cosign"
  exit 0
fi

mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' | sed -n 's/^Debian //p' | sort -u | head -n 1)
mirror=${YBOX_DEB_MIRROR:-$mirror}
if [ -z "$mirror" ]; then
  echo "no Debian mirror is set: cosign stays missing, and what needs it is not tested" >&2
  exit 0
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch"/{state/lists/partial,cache/archives/partial}
echo "deb [arch=amd64 signed-by=$keyring] $mirror $suite main" >"$scratch/sources.list"
apt() {
  apt-get -qq -o Dir::State="$scratch/state" -o Dir::Cache="$scratch/cache" \
    -o Dir::Etc::sourcelist="$scratch/sources.list" -o Dir::Etc::sourceparts=- \
    -o APT::Architecture=amd64 -o APT::Sandbox::User= "$@"
}
apt update
(cd "$scratch" && apt download cosign)
dpkg-deb -x "$scratch"/cosign_*.deb "$target"
"$target/usr/bin/cosign" version >/dev/null
echo "$target is ready" >&2
