#!/usr/bin/env bash
# build-native.sh [bridge|faiss|mmap]…: compiles the add-ons into build/bridge/tandem.node, build/faiss/faiss.node and build/mmap/mmap.node.
# Without names: all of them, faiss only where there is a libfaiss with headers; nothing else needs it.
#   NCCL_HOME, CUDA_HOME     where nccl.h and CUDA's headers are, for a libtorch of CUDA whose packages don't bring them; without them graphics cards send by way of main memory
# An add-on is left alone while its sources, its libtorch, Node's headers and the compiler are those of its last build.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# shellcheck source=scripts/stages.sh
source scripts/stages.sh

headers=$(bash scripts/find-node-headers.sh) ||
  fail 1 "Node's headers (node_api.h) were not found" "with root: apt-get install -y libnode-dev; else NODE_INCLUDE_DIR=<folder of node_api.h>"
[ -d node_modules/node-addon-api ] || fail 1 "node_modules is missing: run npm ci first"
compiler=$("${CXX:-g++}" --version | head -n 1)

# build NAME USUALLY IDENTITY SOURCES CMAKE-ARGUMENT…
build() {
  local name=$1 usually=$2 identity=$3 sources=$4
  shift 4
  local folder=build/$name hash
  # shellcheck disable=SC2086  # the sources are a list of folders
  hash=$(fingerprint "$identity" "$headers" "$compiler" "$root" -- $sources node_modules/node-addon-api/package.json)
  if stamped "$folder/.stamp" "$hash" && compgen -G "$folder/*.node" >/dev/null; then
    done_already "add-on $name"
    return
  fi
  stage "compiling the add-on $name" "$usually"
  rm -f "$folder/.stamp"
  # CMake's cache belongs to one libtorch and one place: with another it would link the old one.
  if [ -f "$folder/.identity" ] && [ "$(cat "$folder/.identity")" != "$root $identity" ]; then rm -rf "$folder"; fi
  mkdir -p "$folder"
  printf '%s %s\n' "$root" "$identity" >"$folder/.identity"
  quietly "build/logs/$name.log" cmake -S "native/$name" -B "$folder" -DCMAKE_BUILD_TYPE=Release -DNODE_INCLUDE_DIR="$headers" "$@" ||
    fail_with_log "build/logs/$name.log" "CMake could not configure native/$name"
  quietly "build/logs/$name.log" cmake --build "$folder" --parallel "$(nproc)" ||
    fail_with_log "build/logs/$name.log" "native/$name did not compile" "all of its output: build/logs/$name.log"
  stamp "$folder/.stamp" "$hash"
}

build_bridge() {
  local found torch version
  found=$(bash scripts/find-libtorch.sh) || fail 1 "libtorch was not found" "bash scripts/setup.sh installs PyTorch; LIBTORCH=<folder> names another"
  IFS=$'\t' read -r torch version _ <<<"$found"
  build bridge "2 min" "libtorch $version $torch" "native/bridge native/kernels native/collectives" -DCMAKE_PREFIX_PATH="$torch"
}

build_faiss() {
  local found status=0 headers_of_faiss library version
  found=$(bash scripts/find-faiss.sh) || status=$?
  if [ "$status" -gt 1 ]; then exit 1; fi
  if [ "$status" -eq 1 ]; then
    if [ "$1" = wanted ]; then fail 1 "libfaiss with its headers was not found" "${faiss_ways[@]}"; fi
    printf '==> no libfaiss with headers: search is exact; everything else works\n'
    local way
    for way in "${faiss_ways[@]}"; do note "$way"; done
    return
  fi
  IFS=$'\t' read -r headers_of_faiss library version <<<"$found"
  build faiss "30 s" "libfaiss $version $library" native/faiss -DFAISS_INCLUDE_DIR="$headers_of_faiss" -DFAISS_LIBRARY="$library"
}

faiss_ways=(
  "for FAISS, with root on Debian or Ubuntu:  apt-get install -y libfaiss-dev libopenblas0-openmp"
  "with conda, no root:                       conda install -c conda-forge libfaiss openblas; FAISS_ROOT=<prefix> names another"
  "then:                                      bash scripts/setup.sh"
)

if [ $# -eq 0 ]; then set -- mmap bridge faiss-if-there; fi
for addon in "$@"; do
  case "$addon" in
    mmap) build mmap "5 s" "no libtorch" native/mmap ;;
    bridge) build_bridge ;;
    faiss) build_faiss wanted ;;
    faiss-if-there) build_faiss if-there ;;
    *) fail 2 "build-native.sh: '$addon' is no add-on; expected bridge, faiss or mmap" ;;
  esac
done
