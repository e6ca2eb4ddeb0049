#!/usr/bin/env bash
# A Slurm cluster of two nodes with one core each, on this machine alone, for tests: a controller, two daemons of nodes, and a munge of its own.
#   slurm-two-nodes.sh install             what is missing, from Debian; needs root and a package source
#   slurm-two-nodes.sh start <folder>      starts it and waits for both nodes; prints the SLURM_CONF that sbatch and its kin need
#   slurm-two-nodes.sh stop <folder>       ends what it started there
# All that it makes lies in the folder, so that it disturbs no other cluster here. The node names n1 and n2 resolve to nothing: programs need MASTER_ADDR.
set -euo pipefail
folder=${2:-}
PATH=$PATH:/usr/sbin:/sbin

install() {
  missing=()
  for pair in slurmctld:slurmctld slurmd:slurmd sbatch:slurm-client munged:munge; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  if [ "${#missing[@]}" -eq 0 ]; then return; fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

configure() {
  local host port
  host=$(hostname)
  # Four ports in a row, most likely nobody's.
  port=$((23000 + RANDOM % 5000))
  mkdir -p "$folder"/{state,spool.n1,spool.n2}
  (umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")
  # A job that is queued again waits until its credential has expired, two minutes by default.
  cat >"$folder/slurm.conf" <<CONF
ClusterName=tandem
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
AuthInfo=socket=$folder/munge.socket,cred_expire=15
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmUser=root
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.%n.pid
SlurmdSpoolDir=$folder/spool.%n
StateSaveLocation=$folder/state
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.%n.log
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobRequeue=1
KillWait=30
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=1 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=1 State=UNKNOWN
PartitionName=all Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
CONF
}

start() {
  configure
  export SLURM_CONF=$folder/slurm.conf
  munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/munged.log" --seed-file="$folder/munged.seed"
  slurmctld -f "$SLURM_CONF"
  for node in n1 n2; do slurmd -N "$node" -f "$SLURM_CONF"; done
  for _ in $(seq 60); do
    if [ "$(sinfo -h -t idle -o %D 2>/dev/null | head -n 1)" = 2 ]; then
      echo "$SLURM_CONF"
      return
    fi
    sleep 1
  done
  echo "slurm-two-nodes: the nodes did not come up; see the logs in $folder" >&2
  exit 1
}

stop() {
  local pids=() file pid
  for file in slurmd.n1 slurmd.n2 slurmctld munged; do
    if [ -s "$folder/$file.pid" ]; then pids+=("$(cat "$folder/$file.pid")"); fi
  done
  # They save their state before they end, and whoever called this removes the folder.
  for pid in "${pids[@]}"; do
    kill "$pid" 2>/dev/null || continue
    for _ in $(seq 200); do
      kill -0 "$pid" 2>/dev/null || continue 2
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
  done
}

case "${1:-}" in
  install) install ;;
  start | stop)
    if [ -z "$folder" ]; then
      echo "usage: $0 $1 <folder>" >&2
      exit 2
    fi
    "$1"
    ;;
  *)
    echo "usage: $0 install | start <folder> | stop <folder>" >&2
    exit 2
    ;;
esac
