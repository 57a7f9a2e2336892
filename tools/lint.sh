#!/usr/bin/env bash
# Checks formatting and runs clang-tidy over our sources. Needs a configured build tree.
#   tools/lint.sh [build-dir]      default build/dev
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/dev}
[ -f "$build/compile_commands.json" ] || { echo "lint: run 'cmake --preset dev' first" >&2; exit 1; }

git ls-files '*.hpp' '*.cpp' | xargs clang-format-19 --dry-run --Werror
echo "lint: formatting is right"
# Not the tests (*_test.cpp, tests/): they check optionals with ASSERT macros and hand capturing
# coroutine lambdas to a runner that joins them, and the checks for both do not understand gtest.
# Of what clang-tidy says beside its findings only the counts are dropped: it tells there, too, of
# files that it cannot read.
chatter='^([0-9]+ warnings?( and [0-9]+ errors?)? (generated|treated as errors?)\.?'
chatter+='|Suppressed [0-9]+ warnings? .*|Use -header-filter=.*|\[[0-9]+/[0-9]+\] Processing file .*)$'
git ls-files 'src/*.cpp' 'apps/*.cpp' 'tools/*.cpp' ':!:*_test.cpp' |
  xargs -P "$(nproc)" -n 2 clang-tidy-19 -p "$build" --quiet --warnings-as-errors='*' 2>&1 |
  { grep -vE "$chatter" || true; }
echo "lint: clang-tidy is clean"
