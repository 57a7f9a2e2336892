#!/usr/bin/env bash
# Installs the distribution packages that rbee needs, if any are missing. Safe to run again: when
# nothing is missing it does nothing and needs no rights.
#   tools/setup.sh build|test
set -euo pipefail

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

purpose=${1:-build}
[ -r /etc/os-release ] || die "cannot tell which distribution this is (no /etc/os-release)"
# shellcheck disable=SC1091
. /etc/os-release

case "${ID:-}-${VERSION_ID:-}" in
  debian-12) boost="libboost1.81-dev libboost-json1.81-dev" ;;
  debian-13 | ubuntu-24.04) boost="libboost-dev libboost-json-dev" ;;
  *)
    die "${PRETTY_NAME:-this system} is not supported: needs clang 19 and Boost 1.81 or newer from the distribution (Debian 12, Debian 13, Ubuntu 24.04)"
    ;;
esac

packages="ca-certificates git cmake ninja-build ccache clang-19 lld-19 libc6-dev g++ pkg-config $boost
  libssl-dev libsqlite3-dev libfmt-dev libspdlog-dev libsimdjson-dev prometheus-cpp-dev libcli11-dev
  libtomlplusplus-dev libedit-dev curl"
if [ "$purpose" = test ]; then
  packages="$packages libgtest-dev libgmock-dev librapidcheck-dev python3 python3-pytest faketime strace
    clang-format-19 clang-tidy-19 libclang-rt-19-dev llvm-19"
fi
# Node.js may be there without a package; npm brings the pinned llama.cpp source.
command -v npm >/dev/null || packages="$packages npm"
command -v node >/dev/null || packages="$packages nodejs"

missing=""
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  as_root=""
elif command -v sudo >/dev/null; then
  as_root="sudo"
else
  die "these packages are missing and neither root nor sudo is there to install them:$missing"
fi
say "Installing packages:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
