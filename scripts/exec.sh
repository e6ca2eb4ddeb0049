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
# A process for each task. The program itself ends all when one fails, and each says why: Slurm is not to kill them before they have. Since 22.05 srun doesn't inherit the cores of a task.
if [ "${SLURM_NTASKS:-1}" -gt 1 ]; then
  step=(srun --kill-on-bad-exit=0 --wait=0)
  if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then step+=("--cpus-per-task=$SLURM_CPUS_PER_TASK"); fi
  command=("${step[@]}" "${command[@]}")
fi
"${command[@]}" &
child=$!
limit_near=
interrupted=yes
trap 'interrupted=yes; limit_near=yes; kill -USR2 "$child" || true' USR2
trap 'interrupted=yes; kill -TERM "$child" || true' TERM INT
# A signal ends `wait` before the program has ended.
while [ -n "$interrupted" ]; do
  interrupted=
  status=0
  wait "$child" || status=$?
done
# 75: saved, to be run again. Not after scancel, which sends TERM: who cancels a job doesn't want it back.
if [ "$status" -eq 75 ] && [ -n "$limit_near" ]; then
  echo "==> the time limit is near: saved, and queued again"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
