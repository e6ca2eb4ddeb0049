#!/usr/bin/env bash
# Prints the folder of node_api.h: $NODE_INCLUDE_DIR, else beside the running node, else the system's. Exits 1 when there is none.
# The add-ons use Node-API 8 only, so headers of any Node from 18 on fit.
set -euo pipefail
beside=$(node -p 'require("path").resolve(require("fs").realpathSync(process.execPath), "../../include/node")' 2>/dev/null || true)
for folder in "${NODE_INCLUDE_DIR:-}" "$beside" /usr/include/node /usr/local/include/node /usr/include/nodejs/src; do
  if [ -n "$folder" ] && [ -f "$folder/node_api.h" ]; then
    printf '%s\n' "$folder"
    exit 0
  fi
done
exit 1
