#!/usr/bin/env bash
# Prints where libfaiss is, as three fields parted by tabs: the folder of its headers, the library, and its version.
# Looks at $FAISS_ROOT (`none`: do without), then at the active conda environment, then at the system's folders. Exits 1 when there is none with headers
# (the pip wheel faiss-cpu has none), and 2 with a line when FAISS_ROOT is set and of no use: a wish is never silently replaced.
set -euo pipefail

version_of() {
  sed -n 's/^#define FAISS_VERSION_\(MAJOR\|MINOR\|PATCH\) \([0-9]*\).*/\2/p' "$1/faiss/Index.h" | paste -sd .
}

# A prefix such as /usr, with its libraries in one of several folders.
found_in() {
  local prefix=$1 library
  [ -f "$prefix/include/faiss/Index.h" ] || return 1
  for library in "$prefix"/lib/libfaiss.so "$prefix"/lib64/libfaiss.so "$prefix"/lib/*/libfaiss.so "$prefix"/lib/libfaiss.dylib \
    "$prefix"/lib/libfaiss.a "$prefix"/lib64/libfaiss.a "$prefix"/lib/*/libfaiss.a; do
    if [ -f "$library" ]; then
      printf '%s\t%s\t%s\n' "$prefix/include" "$library" "$(version_of "$prefix/include")"
      return 0
    fi
  done
  return 1
}

if [ "${FAISS_ROOT:-}" = none ]; then exit 1; fi
if [ -n "${FAISS_ROOT:-}" ]; then
  if found_in "$FAISS_ROOT"; then exit 0; fi
  echo "tandem: FAISS_ROOT=$FAISS_ROOT holds no include/faiss/Index.h with lib/libfaiss; expected the prefix of a libfaiss with headers" >&2
  exit 2
fi
for prefix in "${CONDA_PREFIX:-}" /usr/local /usr; do
  if [ -n "$prefix" ] && found_in "$prefix"; then exit 0; fi
done
exit 1
