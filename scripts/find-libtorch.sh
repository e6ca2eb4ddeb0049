#!/usr/bin/env bash
# Prints where libtorch is, as three fields parted by tabs: its folder, its version, and where that was found.
# Looks at $LIBTORCH, then at the torch of the active Python, then at the repository's .venv; torch itself is never imported.
# Exits 1 when there is none, and 2 with a line when LIBTORCH is set and of no use: a wish is never silently replaced.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
oldest=2.11
newest=2.13

# Both of libtorch's shapes, the zip and the wheel, have this file; conda's package has it beside the folder of the libraries.
version_of() {
  local file="$1/share/cmake/Torch/TorchConfigVersion.cmake"
  [ -f "$file" ] && sed -n 's/^set(PACKAGE_VERSION "\([^"]*\)").*/\1/p' "$file"
}

supported() {
  local minor=${1#*.}
  minor=${minor%%.*}
  [ "${1%%.*}" = "${oldest%%.*}" ] && [ "$minor" -ge "${oldest#*.}" ] && [ "$minor" -le "${newest#*.}" ]
}

# The folder of a Python's torch package, or nothing.
torch_of() {
  "$1" -c 'import importlib.util as u
s = u.find_spec("torch")
print(s.submodule_search_locations[0] if s and s.submodule_search_locations else "")' 2>/dev/null || true
}

if [ -n "${LIBTORCH:-}" ]; then
  version=$(version_of "$LIBTORCH" || true)
  if [ -z "$version" ]; then
    echo "tandem: LIBTORCH=$LIBTORCH holds no share/cmake/Torch; expected the folder of libtorch or of Python's torch package" >&2
    exit 2
  fi
  if ! supported "$version"; then
    echo "tandem: LIBTORCH=$LIBTORCH is version $version; expected $oldest to $newest" >&2
    exit 2
  fi
  printf '%s\t%s\t%s\n' "$LIBTORCH" "$version" "LIBTORCH"
  exit 0
fi

for python in python3 python "$root/.venv/bin/python"; do
  command -v "$python" >/dev/null || continue
  folder=$(torch_of "$python")
  [ -n "$folder" ] || continue
  version=$(version_of "$folder" || true)
  if [ -z "$version" ]; then
    folder=$("$python" -c 'import sys; print(sys.prefix)')
    version=$(version_of "$folder" || true)
  fi
  if [ -n "$version" ] && supported "$version"; then
    printf '%s\t%s\t%s\n' "$folder" "$version" "$(command -v "$python")"
    exit 0
  fi
  if [ -n "$version" ]; then
    echo "tandem: $folder is PyTorch $version, which is outside $oldest to $newest: passed over" >&2
  fi
done
exit 1
