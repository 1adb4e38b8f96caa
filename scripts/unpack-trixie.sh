#!/usr/bin/env bash
# Unpacks packages of Debian trixie below a folder, without installing them: from the mirror that apt
# is set to (or YBOX_DEB_MIRROR), checked by apt. What they depend on does not come along.
#
#   scripts/unpack-trixie.sh DIR PACKAGE...
set -euo pipefail

suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
target=$(realpath -m -- "$1")
shift

mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' | sed -n 's/^Debian //p' | sort -u | head -n 1)
mirror=${YBOX_DEB_MIRROR:-$mirror}
if [ -z "$mirror" ]; then
  echo "no Debian mirror is set" >&2
  exit 1
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch"/{state/lists/partial,cache/archives/partial} "$target"
echo "deb [signed-by=$keyring] $mirror $suite main" >"$scratch/sources.list"
apt() {
  apt-get -qq -o Dir::State="$scratch/state" -o Dir::Cache="$scratch/cache" \
    -o Dir::Etc::sourcelist="$scratch/sources.list" -o Dir::Etc::sourceparts=- \
    -o APT::Architecture=amd64 -o APT::Sandbox::User= "$@"
}
apt update
cd "$scratch"
apt download "$@"
for package in *.deb; do dpkg-deb -x "$package" "$target"; done
