# shellcheck shell=bash
# Sourced by the other scripts: how a stage is announced, how a failure is told in one line, and how finished work is recognised.
# It changes nothing by itself.

# stage WHAT USUALLY: one line before each stage, so that a silent minute isn't taken for a hang.
stage() { printf '==> %s (usually %s)\n' "$1" "$2"; }

# done_already WHAT: a stage that a former run finished.
done_already() { printf '==> %s: done before\n' "$1"; }

note() { printf '    %s\n' "$1"; }

# fail STATUS LINE…: the first line says what is wrong, the others what to do.
fail() {
  local status=$1
  shift
  printf 'tandem: %s\n' "$1" >&2
  shift
  local line
  for line in "$@"; do printf '        %s\n' "$line" >&2; done
  exit "$status"
}

# set_up_or_require ROOT PATH…: sets up; inside a Slurm job only looks whether the paths are there, since its nodes may have no network.
set_up_or_require() {
  local root=$1 made
  shift
  if [ -z "${SLURM_JOB_ID:-}" ]; then
    bash "$root/scripts/setup.sh"
    return
  fi
  for made in "$@"; do
    [ -e "$root/$made" ] || fail 2 "$made is missing, and a job never sets up" "on the login node:  bash $root/scripts/setup.sh"
  done
}

# quietly LOG COMMAND…: runs a command with its output in a file.
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1
}

# fail_with_log LOG LINE…: the end of a command's output, then the lines.
fail_with_log() {
  local log=$1
  shift
  printf -- '--- the last lines of %s\n' "$log" >&2
  tail -n 15 "$log" >&2
  fail 1 "$@"
}

# fail_to_fetch LOG SOURCE LINE…: the same for a command that downloads; a network that can't be reached gets one line and no log.
fail_to_fetch() {
  local log=$1 source=$2
  shift 2
  local unreachable='ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|Temporary failure|Could not resolve|Unable to connect|unreachable|timed out|ConnectionError|ProtocolError|IncompleteRead|from versions: none'
  if tail -n 12 "$log" | grep -qiE "$unreachable"; then
    fail 1 "$source can't be reached; check the network (behind a proxy: HTTPS_PROXY), then run this again (log: $log)"
  fi
  fail_with_log "$log" "$@"
}

# fingerprint WORD… -- PATH…: one hash over the words and over the names and contents of all files below the paths that exist.
fingerprint() {
  local words=() paths=() path
  while [ "$1" != "--" ]; do
    words+=("$1")
    shift
  done
  shift
  for path in "$@"; do if [ -e "$path" ]; then paths+=("$path"); fi; done
  {
    printf '%s\n' "${words[@]}"
    find "${paths[@]}" -type f -not -name '*.tsbuildinfo' -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
  } | sha256sum | cut -d ' ' -f 1
}

# stamped FILE HASH: whether the work that the file stands for was finished with this very hash.
stamped() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# stamp FILE HASH: written last, so that an interrupted stage runs again.
stamp() {
  mkdir -p "$(dirname "$1")"
  printf '%s\n' "$2" >"$1"
}
