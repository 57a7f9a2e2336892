#!/usr/bin/env bash
# Checks formatting and runs clang-tidy over our sources. Needs a configured build tree.
#   tools/lint.sh [build-dir]      default build/dev
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/dev}
[ -f "$build/compile_commands.json" ] || { echo "lint: run 'cmake --preset dev' first" >&2; exit 1; }

git ls-files '*.hpp' '*.cpp' | xargs clang-format-19 --dry-run --Werror
echo "lint: formatting is right"
git ls-files 'src/*.cpp' 'apps/*.cpp' 'tools/*.cpp' |
  xargs -P "$(nproc)" -n 2 clang-tidy-19 -p "$build" --quiet --warnings-as-errors='*' 2>/dev/null
echo "lint: clang-tidy is clean"
