#!/usr/bin/env bash
# debian-packages.sh NEED…: installs the packages of environment/apt.txt for these needs whose probe fails.
# Without root, or where there is no apt-get, it installs nothing: it names what is missing and the other ways, and exits 1.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/stages.sh
source "$root/scripts/stages.sh"

present() {
  case "$1" in
    command:*) command -v "${1#command:}" >/dev/null ;;
    python:*) python3 -c "import ${1#python:}" 2>/dev/null ;;
    header:node_api.h) bash "$root/scripts/find-node-headers.sh" >/dev/null ;;
    *) fail 1 "environment/apt.txt: '$1' is no probe; expected command:, python: or header:" ;;
  esac
}

missing=()
while read -r need package probe _; do
  for wanted in "$@"; do
    if [ "$need" = "$wanted" ] && ! present "$probe"; then missing+=("$package"); fi
  done
done < <(grep -v '^#' "$root/environment/apt.txt")

[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  fail 1 "missing: ${missing[*]}" \
    "with root on Debian or Ubuntu:  apt-get install -y ${missing[*]}" \
    "with conda, no root:            conda env create -f environment/conda.yaml; conda activate tandem" \
    "on a cluster:                   load the modules of a compiler and CMake; LIBTORCH=<folder> names a libtorch that is there already" \
    "FAISS is not needed: without it Tandem searches with its exact index"
fi

stage "Debian packages: ${missing[*]}" "20 s"
export DEBIAN_FRONTEND=noninteractive
log=build/logs/apt.log
cd "$root"
quietly "$log" apt-get update -qq || fail_to_fetch "$log" "Debian's package mirror" "apt-get update failed"
quietly "$log" apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
  fail_to_fetch "$log" "Debian's package mirror" "apt-get could not install ${missing[*]}"
