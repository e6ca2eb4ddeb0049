#!/usr/bin/env bash
#SBATCH --job-name=tandem
#SBATCH --signal=B:USR2@120
#SBATCH --requeue
#SBATCH --open-mode=append
# exec.sh [key=value]…: sets up, then trains, evaluates and reports. Without arguments that is the quickstart.
#   bash scripts/exec.sh experiment=squad data.root=<folder>     another experiment; every override of tandem train passes through
#   sbatch scripts/exec.sh experiment=squad                      the same inside a Slurm job, which never sets up: nodes may have no network.
#                                                                Two minutes before its time limit the run saves its state and the job is queued again
#   sbatch --nodes=2 --ntasks-per-node=1 --cpus-per-task=16 scripts/exec.sh experiment=squad
#                                                                several tasks train one run together, a worker each; see docs/hpc.md
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
# shellcheck source=scripts/batch-job.sh
source "$root/scripts/batch-job.sh"

set_up_or_require "$root" node_modules dist/src/cli/main.js build/bridge/tandem.node build/mmap/mmap.node

experiment=(experiment=quickstart)
for argument in "$@"; do
  case "$argument" in experiment=* | +experiment=*) experiment=() ;; esac
done
if [ "${#experiment[@]}" -eq 1 ]; then stage "the quickstart: corpus, index, training, evaluation, report" "5 to 8 min"; fi
command=(node "$root/bin/tandem" train "${experiment[@]}" "$@")
# Outside Slurm the program replaces this shell: signals reach it and its exit code is this script's.
if [ -z "${SLURM_JOB_ID:-}" ]; then exec "${command[@]}"; fi

if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then command+=(--resume auto); fi
run_in_job "${command[@]}"
