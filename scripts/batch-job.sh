# shellcheck shell=bash
# Sourced by exec.sh and create_index.sh: how a command runs inside a Slurm job, and is queued again when the job's time is nearly over.
# It changes nothing by itself. The trap: --signal=B: signals this shell alone, so the command runs beside it.

# run_in_job COMMAND…: runs it, as a process for each task where the job has several, passes signals on, and ends with its exit code.
run_in_job() {
  local command=("$@") step child status limit_near="" interrupted=yes
  # The program itself ends all tasks when one fails, and each says why: Slurm is not to kill them before they have. Since 22.05 srun doesn't inherit the cores of a task.
  if [ "${SLURM_NTASKS:-1}" -gt 1 ]; then
    step=(srun --kill-on-bad-exit=0 --wait=0)
    if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then step+=("--cpus-per-task=$SLURM_CPUS_PER_TASK"); fi
    command=("${step[@]}" "${command[@]}")
  fi
  "${command[@]}" &
  child=$!
  trap 'interrupted=yes; limit_near=yes; kill -USR2 "$child" || true' USR2
  trap 'interrupted=yes; kill -TERM "$child" || true' TERM INT
  # A signal ends `wait` before the program has ended.
  while [ -n "$interrupted" ]; do
    interrupted=""
    status=0
    wait "$child" || status=$?
  done
  # 75: saved, to be run again. Not after scancel, which sends TERM: who cancels a job doesn't want it back.
  if [ "$status" -eq 75 ] && [ -n "$limit_near" ]; then
    echo "==> the time limit is near: saved, and queued again"
    scontrol requeue "$SLURM_JOB_ID"
  fi
  exit "$status"
}
