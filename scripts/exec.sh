#!/usr/bin/env bash
#SBATCH --job-name=tandem
# exec.sh [key=value]…: sets up, then trains, evaluates and reports. Without arguments that is the quickstart.
#   bash scripts/exec.sh experiment=squad data.root=<folder>     another experiment; every override of tandem train passes through
#   sbatch scripts/exec.sh experiment=squad                      the same inside a Slurm job, which never sets up: nodes may have no network
set -euo pipefail

# Slurm runs a copy of this file from its spool folder; the repository is then where the job was submitted, or the folder above.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
for candidate in "$root" "${SLURM_SUBMIT_DIR:-}" "${SLURM_SUBMIT_DIR:-}/.."; do
  if [ -f "$candidate/scripts/exec.sh" ] && [ -f "$candidate/bin/tandem" ]; then
    root=$(cd "$candidate" && pwd)
    break
  fi
done
if [ ! -f "$root/scripts/stages.sh" ]; then
  echo "tandem: the repository was not found; submit the job from its top folder" >&2
  exit 2
fi
# shellcheck source=scripts/stages.sh
source "$root/scripts/stages.sh"

if [ -n "${SLURM_JOB_ID:-}" ]; then
  for made in node_modules dist/src/cli/main.js build/bridge/tandem.node build/mmap/mmap.node; do
    [ -e "$root/$made" ] || fail 2 "$made is missing, and a job never sets up" "on the login node:  bash $root/scripts/setup.sh"
  done
else
  bash "$root/scripts/setup.sh"
fi

experiment=(experiment=quickstart)
for argument in "$@"; do
  case "$argument" in experiment=* | +experiment=*) experiment=() ;; esac
done
if [ "${#experiment[@]}" -eq 1 ]; then stage "the quickstart: corpus, index, training, evaluation, report" "at most 8 min on 2 cores"; fi
# Replaces this shell, so that signals reach the program and its exit code is the job's.
exec node "$root/bin/tandem" train "${experiment[@]}" "$@"
