#!/usr/bin/env bash
# From a clean clone to a first answer: installs what is missing, builds, starts the service and
# streams an answer. Leaves the service up. Safe to run again.
#   ./quickstart.sh ["prompt"]
set -euo pipefail
cd "$(dirname "$0")"

case "${1:-}" in
  -h | --help)
    sed -n '2,4s/^# \{0,1\}//p' "$0"
    echo 'Environment: RBEE_HOME (default ~/.rbee), RBEE_PORT (default 8080), RBEE_MODELS_DIR (default models/ here).'
    exit 0
    ;;
esac

prompt=${1:-"What is rbee?"}
started=$(date +%s)
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
trap 'printf "quickstart: failed after %s s; the message above says why\n" $(($(date +%s) - started)) >&2' ERR

tools/setup.sh build
# The same sources in another folder hit the compiler cache too.
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
bin=build/release/bin
if [ ! -f build/release/build.ninja ]; then
  say "Configuring (the first time also builds llama.cpp, about 5 minutes on 2 cores)"
  cmake --preset release -DRBEE_TESTS=OFF | tools/progress.sh quiet
fi
say "Building rbee"
cmake --build --preset release --target queen-rbee rbee-hive llm-worker-rbee rbee | tools/progress.sh

port=${RBEE_PORT:-8080}
url="http://127.0.0.1:$port"
say "Starting the service"
"$bin/rbee" --queen "$url" up --port "$port" --models-dir "${RBEE_MODELS_DIR:-$PWD/models}"
say "Asking: $prompt"
"$bin/rbee" --queen "$url" infer "$prompt"

token_file=${RBEE_HOME:-$HOME/.rbee}/token
cat >&2 <<END

rbee is up.
  URL          $url
  token file   $token_file
  try          curl -N $url/v1/chat/completions -H "Authorization: Bearer \$(cat $token_file)" \\
                 -H 'Content-Type: application/json' \\
                 -d '{"model":"rbee-demo","stream":true,"messages":[{"role":"user","content":"What is a hive?"}]}'
  chat         $PWD/$bin/rbee --queen $url chat
  stop         $PWD/$bin/rbee --queen $url down
END
say "Done in $(($(date +%s) - started)) s."
