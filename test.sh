#!/usr/bin/env bash
# Builds rbee and runs its tests. Installs what is missing. Safe to run again.
#   ./test.sh            every test: unit, real processes, official client libraries
#   ./test.sh --quick    layout checks and unit tests
#   ./test.sh --preset asan|tsan|dev [--quick]
set -euo pipefail
cd "$(dirname "$0")"

preset=dev
quick=no
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) quick=yes ;;
    --preset)
      preset=${2:?--preset needs a name}
      shift
      ;;
    -h | --help)
      sed -n '2,5s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *)
      echo "test.sh: unknown argument $1 (try --help)" >&2
      exit 1
      ;;
  esac
  shift
done

started=$(date +%s)
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
trap 'printf "test.sh: FAILED after %s s\n" $(($(date +%s) - started)) >&2' ERR

# What the test presets set for ctest, for the programs that the integration tests start.
case "$preset" in
  asan) export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 ;;
  tsan) export TSAN_OPTIONS="halt_on_error=1:suppressions=$PWD/cmake/tsan.supp" ;;
esac

tools/setup.sh test
# The same sources in another folder hit the compiler cache too.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
say "Configuring $preset (the first time also builds llama.cpp, about 5 minutes on 2 cores)"
cmake --preset "$preset" | tools/progress.sh quiet
say "Building"
cmake --build --preset "$preset" | tools/progress.sh

say "Checking formatting"
git ls-files '*.hpp' '*.cpp' | xargs -r clang-format-19 --dry-run --Werror

say "Unit tests"
ctest --preset "$preset" -j "$(nproc)" --output-on-failure

if [ "$quick" = no ]; then
  say "Integration tests: real programs, real sockets, real models"
  RBEE_BIN="$PWD/build/$preset/bin" /usr/bin/python3 -m pytest -q tests/integration
fi
say "All tests passed in $(($(date +%s) - started)) s."
