#!/usr/bin/env bash
# test.sh [vitest arguments]…: sets up, with the reference Python libraries and an MLflow server beside, then checks the sources and runs all tests.
# With arguments, the sources aren't checked and only those tests run:  bash scripts/test.sh test/storage
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# shellcheck source=scripts/stages.sh
source scripts/stages.sh

bash scripts/setup.sh
if [ -z "${TANDEM_REFERENCE_PYTHON:-}" ]; then
  bash scripts/make-venv.sh .venv-reference environment/requirements-reference.txt "3 min"
fi
if [ -z "${TANDEM_MLFLOW_PYTHON:-}" ]; then
  bash scripts/make-venv.sh .venv-mlflow environment/requirements-mlflow.txt "2 min"
fi
if [ $# -eq 0 ]; then
  bash scripts/debian-packages.sh test
  stage "types, lint, format, layers, unused code" "1 min"
  npm run --silent check
fi

stage "tests" "10 min"
rm -f build/test-report.json
status=0
npx vitest run --reporter=default --reporter=json --outputFile.json=build/test-report.json "$@" || status=$?
# The closing line says the same in plain words, for tools that read no vitest.
# shellcheck disable=SC2016  # the dollars are JavaScript's
node -e '
  const r = JSON.parse(require("fs").readFileSync("build/test-report.json", "utf8"));
  console.log(`tests: ${r.numPassedTests} passed, ${r.numFailedTests} failed, ${r.numPendingTests + r.numTodoTests} skipped`);
' || echo "tests: 0 passed, 1 failed"
exit "$status"
