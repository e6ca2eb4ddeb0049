#!/usr/bin/env bash
# setup.sh: everything that Tandem needs, on a machine with Node 20, npm and Python 3.10 or later. A second run takes seconds.
# Debian packages, libtorch, npm packages, TypeScript, the add-ons (that of FAISS where there is a libfaiss), and `tandem` on the PATH.
#   LIBTORCH=<folder>        use this libtorch (2.11 to 2.13) and install no PyTorch
#   FAISS_ROOT=<prefix>      use the libfaiss of <prefix>/include and <prefix>/lib; else conda's or the system's; none: without FAISS
#   TANDEM_TORCH=cpu|cuda    which PyTorch to install, where this machine (a login node, say) isn't the one that computes
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# shellcheck source=scripts/stages.sh
source scripts/stages.sh

check_node() {
  command -v node >/dev/null || fail 1 "node was not found" "install Node 20.19 or later, with npm"
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    fail 1 "node $(node --version) is too old; expected 20.19 or later"
  command -v npm >/dev/null || fail 1 "npm was not found" "it comes with Node; Debian has it as a package of its own: apt-get install -y npm"
}

find_torch() {
  local found status=0
  found=$(bash scripts/find-libtorch.sh) || status=$?
  # A LIBTORCH that is of no use has already been told of.
  [ "$status" -le 1 ] || exit 1
  # .venv is ours: an installation that was interrupted there is finished first.
  if [ "$status" -eq 1 ] || [[ "$found" == "$root/.venv/"* ]]; then
    bash scripts/debian-packages.sh python
    bash scripts/make-venv.sh .venv environment/requirements.txt "1 min; the download is 200 MB, with an NVIDIA card 3 GB"
    found=$(bash scripts/find-libtorch.sh) || fail 1 "PyTorch was installed into .venv and not found there" "rm -r .venv; bash scripts/setup.sh"
  fi
  IFS=$'\t' read -r torch_folder torch_version torch_source <<<"$found"
  printf '==> libtorch %s of %s, from %s\n' "$torch_version" "$torch_folder" "$torch_source"
}

install_packages() {
  local hash
  hash=$(fingerprint "$(node --version)" -- package-lock.json)
  if stamped node_modules/.tandem-stamp "$hash"; then
    done_already "npm packages"
    return
  fi
  stage "npm packages" "20 s"
  quietly build/logs/npm.log npm ci --include=dev --no-audit --no-fund ||
    fail_to_fetch build/logs/npm.log "the npm registry" "npm ci failed" "all of its output: build/logs/npm.log"
  stamp node_modules/.tandem-stamp "$hash"
}

compile_typescript() {
  local hash
  hash=$(fingerprint "$(node --version)" -- package-lock.json tsconfig.json tsconfig.build.json src tools bench)
  if [ -f dist/src/cli/main.js ] && stamped dist/.stamp "$hash"; then
    done_already "TypeScript"
    return
  fi
  stage "compiling TypeScript" "15 s"
  # The compiler's notes of its last run would make it skip files that are gone from dist.
  [ -f dist/src/cli/main.js ] || rm -f dist/.tsbuildinfo
  quietly build/logs/tsc.log npm run --silent build ||
    fail_with_log build/logs/tsc.log "the TypeScript sources did not compile" "all errors: build/logs/tsc.log"
  stamp dist/.stamp "$hash"
}

put_on_path() {
  local link=/usr/local/bin/tandem was
  if [ "$(command -v tandem || true)" != "" ] && [ "$(readlink -f "$(command -v tandem)")" = "$root/bin/tandem" ]; then
    done_already "tandem on the PATH"
  elif [ "$(id -u)" -eq 0 ] && { [ ! -e "$link" ] || [ -L "$link" ]; }; then
    was=$(readlink "$link" || true)
    ln -sfn "$root/bin/tandem" "$link"
    printf '==> tandem is on the PATH: %s\n' "$link"
    [ -z "$was" ] || [ "$was" = "$root/bin/tandem" ] || note "it was $was, now $root/bin/tandem"
  else
    # shellcheck disable=SC2016  # $PATH is for the reader's shell
    printf '==> to have tandem on the PATH:  export PATH="%s/bin:$PATH"   (or call it as npx --no tandem)\n' "$root"
  fi
}

echo "Tandem's set-up: about 4 minutes the first time, seconds after that. Logs: build/logs/"
check_node
bash scripts/debian-packages.sh build
find_torch
install_packages
compile_typescript
LIBTORCH="$torch_folder" bash scripts/build-native.sh
put_on_path
echo "==> set up; tandem doctor says what this machine has"
