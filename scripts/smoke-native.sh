#!/usr/bin/env bash
# smoke-native.sh [DEVICE]…: compiles the bridge and our kernels against this machine's PyTorch and runs a short list of checks through them, one line each. Exits 1 when one fails.
# For a machine that has gcc, cmake and Python with PyTorch and nothing else of ours. Without DEVICE: cpu, and cuda:0 where libtorch sees a card.
#   bash scripts/smoke-native.sh --carry FOLDER     on a machine that is set up: puts all that is needed into FOLDER, Node and its headers too
#   NODE=FOLDER/node bash FOLDER/scripts/smoke-native.sh     there: NODE is a folder with bin/node and include/node
#   LIBTORCH, NODE_INCLUDE_DIR                      as for build-native.sh; TANDEM_NATIVE=<folder> takes add-ons that are compiled already
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
caller=$PWD
cd "$root"
# shellcheck source=scripts/stages.sh
source scripts/stages.sh

# What the checks read, beside Node. A test runs them from a folder that holds nothing else.
carried=(
  package.json native dist/src dist/tools/smoke-native.js node_modules/node-addon-api test/fixtures/goldens/gpt2-tiny
  test/fixtures/goldens/gpt2-tiny.expected.json test/fixtures/goldens/gpt2-tiny.expected.safetensors
  scripts/stages.sh scripts/build-native.sh scripts/find-libtorch.sh scripts/find-node-headers.sh scripts/smoke-native.sh
)

carry() {
  local target=$1 path headers program
  [ ! -e "$target" ] || fail 2 "--carry $target: is there already" "name a new folder"
  headers=$(bash scripts/find-node-headers.sh) || fail 1 "Node's headers (node_api.h) were not found" "NODE_INCLUDE_DIR=<folder of node_api.h>"
  for path in "${carried[@]}"; do
    [ -e "$path" ] || fail 2 "$path is missing" "bash scripts/setup.sh makes it"
  done
  program=$(node -p process.execPath)
  if ldd "$program" 2>/dev/null | grep -q libnode; then
    fail 2 "$program needs libnode.so of this system, which can't be carried" "NODE=<folder of an unpacked Node, with bin/node and include/node>"
  fi
  mkdir -p "$target/node/bin" "$target/node/include/node"
  tar -cf - "${carried[@]}" | tar -xf - -C "$target"
  cp -L "$program" "$target/node/bin/node"
  cp -LR "$headers/." "$target/node/include/node/"
  printf '==> carry %s to the machine (%s), then there:  NODE=%s/node bash %s/scripts/smoke-native.sh\n' \
    "$target" "$(du -sh "$target" | cut -f 1)" "$(basename "$target")" "$(basename "$target")"
}

# from_caller PATH: a path as the caller's folder means it.
from_caller() { case "$1" in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$caller" "$1" ;; esac }

if [ -n "${NODE:-}" ]; then
  NODE=$(from_caller "$NODE")
  [ -x "$NODE/bin/node" ] || fail 2 "NODE=$NODE: has no bin/node; expected an unpacked Node"
  export PATH="$NODE/bin:$PATH"
fi
command -v node >/dev/null || fail 2 "node was not found" "NODE=<folder with bin/node and include/node>; --carry puts one there"
node --version >/dev/null 2>&1 || fail 2 "$(command -v node) doesn't run here" "carry a Node for this machine's processor and C library"

if [ "${1:-}" = --carry ]; then
  [ $# -eq 2 ] || fail 2 "smoke-native.sh --carry FOLDER: name one folder"
  carry "$(from_caller "$2")"
  exit 0
fi

[ -f dist/tools/smoke-native.js ] || fail 2 "dist/ is missing" "npm run build, or carry it along: --carry on a machine that is set up"

found=$(bash scripts/find-libtorch.sh) || fail 2 "PyTorch was not found" "activate the Python that has it, or LIBTORCH=<folder>"
IFS=$'\t' read -r torch version source <<<"$found"
printf '==> libtorch %s of %s, node %s\n' "$version" "$torch" "$(node --version)"
if [ -z "${TANDEM_NATIVE:-}" ]; then bash scripts/build-native.sh mmap bridge; fi

# The Python of this libtorch says what its own AdamW does. With LIBTORCH there may be none.
python=()
if [ -x "$source" ]; then python=(--python "$source"); fi
exec node dist/tools/smoke-native.js "${python[@]}" "$@"
