#!/usr/bin/env bash
# make-venv.sh FOLDER REQUIREMENTS USUALLY: a Python environment with these packages. It is left alone while the requirements are those of its last run.
# PyTorch's CPU build is taken unless there is an NVIDIA card (TANDEM_TORCH=cpu|cuda overrides that): the other one brings gigabytes of CUDA.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# shellcheck source=scripts/stages.sh
source scripts/stages.sh
folder=$1
requirements=$2
usually=$3

wants_cuda() {
  case "${TANDEM_TORCH:-}" in
    cuda) return 0 ;;
    cpu) return 1 ;;
    "") compgen -G "/proc/driver/nvidia/gpus/*" >/dev/null || { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; } ;;
    *) fail 2 "TANDEM_TORCH=$TANDEM_TORCH: expected cpu or cuda" ;;
  esac
}

# A local version such as 2.13.0+cpu ranks above the plain one, so the extra index decides; where it can't be reached pip goes on without it.
from_where=(--extra-index-url https://download.pytorch.org/whl/cpu --retries 1)
if wants_cuda; then from_where=(--retries 3); fi

hash=$(fingerprint "${from_where[@]}" -- environment/requirements.txt "$requirements")
if [ -x "$folder/bin/python" ] && stamped "$folder/.tandem-stamp" "$hash"; then
  done_already "Python packages in $folder"
  exit 0
fi
stage "Python packages into $folder" "$usually"

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  fail 1 "$(python3 --version) is too old; expected Python 3.10 or later (or LIBTORCH=<folder>)"

make_environment() {
  if python3 -c 'import ensurepip' 2>/dev/null; then
    quietly build/logs/venv.log python3 -m venv "$folder"
    return
  fi
  # Debian keeps ensurepip in a package of its own. With root it is installed; without, an existing pip can fill a bare environment.
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null && bash scripts/debian-packages.sh venv && python3 -c 'import ensurepip' 2>/dev/null; then
    quietly build/logs/venv.log python3 -m venv "$folder"
    return
  fi
  quietly build/logs/venv.log python3 -m venv --without-pip "$folder" &&
    quietly build/logs/venv.log python3 -m pip --python "$folder/bin/python" install pip
}

if [ ! -x "$folder/bin/python" ] || ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
  make_environment || fail 1 "python3 could not make an environment in $folder" \
    "with root: apt-get install -y python3-venv; else LIBTORCH=<folder>, or an active conda environment with pytorch"
fi
# The CPU build satisfies the same requirement as the other one: where CUDA is asked for, pip would leave it in place.
if wants_cuda && "$folder/bin/python" -m pip show torch 2>/dev/null | grep -q '^Version: .*+cpu'; then
  quietly build/logs/pip.log "$folder/bin/python" -m pip uninstall -y torch
fi
log=build/logs/pip-$(basename "$folder").log
quietly "$log" "$folder/bin/python" -m pip install --disable-pip-version-check "${from_where[@]}" -r "$requirements" ||
  fail_to_fetch "$log" "the Python package index" "pip could not install $requirements" "all of its output: $log"
stamp "$folder/.tandem-stamp" "$hash"
