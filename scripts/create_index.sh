#!/usr/bin/env bash
#SBATCH --job-name=tandem-index
#SBATCH --signal=B:USR2@120
#SBATCH --requeue
#SBATCH --open-mode=append
# create_index.sh [options and key=value of tandem index]: sets up, then builds, verifies or rebuilds one index and nothing else.
#   bash scripts/create_index.sh --retriever models/all-MiniLM-L6-v2 --corpus stores/wiki --output indexes/wiki 'index.factory="IVF1024,Flat"'
#   bash scripts/create_index.sh --run runs/<run>               a run's own index; --rebuild makes it anew
#   sbatch scripts/create_index.sh …                            the same inside a Slurm job, which never sets up: nodes may have no network. Two minutes before its time
#                                                               limit the passages embedded so far are kept and the job is queued again
#   sbatch --nodes=2 --ntasks-per-node=4 --cpus-per-task=4 scripts/create_index.sh …
#                                                               each task embeds its part of the passages; see docs/hpc.md
set -euo pipefail

# Slurm runs a copy of this file from its spool folder; the repository is then where the job was submitted, or the folder above.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
for candidate in "$root" "${SLURM_SUBMIT_DIR:-}" "${SLURM_SUBMIT_DIR:-}/.."; do
  if [ -f "$candidate/scripts/create_index.sh" ] && [ -f "$candidate/bin/tandem" ]; then
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

if [ $# -eq 0 ]; then
  fail 2 "create_index.sh: says neither which run nor which folders" \
    "a run's index:        bash scripts/create_index.sh --run <run>" \
    "folders of your own:  bash scripts/create_index.sh --retriever <folder> --corpus <passage store> --output <folder> [index.factory=HNSW32]" \
    "a passage store:      tandem corpus data.corpus.path=<file or folder> --output <folder>"
fi

needed=(node_modules dist/src/cli/main.js build/bridge/tandem.node build/mmap/mmap.node)
# Asked for by name, FAISS is needed in a job; what a run was configured with the program says itself.
for argument in "$@"; do
  case "$argument" in index.factory=null) ;; index.factory=* | index=ivf | index=hnsw) needed+=(build/faiss/faiss.node) ;; esac
done
set_up_or_require "$root" "${needed[@]}"

stage "the index" "as long as embedding its passages takes; finished ones are only verified"
command=(node "$root/bin/tandem" index "$@")
# Outside Slurm the program replaces this shell: signals reach it and its exit code is this script's.
if [ -z "${SLURM_JOB_ID:-}" ]; then exec "${command[@]}"; fi
run_in_job "${command[@]}"
