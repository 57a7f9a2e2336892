#!/usr/bin/env bash
# Shows a build's "[n/m] step" lines as one moving line on a terminal, and as a few lines elsewhere.
# Other lines (compiler messages) pass through; with `quiet` only those about llama.cpp do.
set -u
mode=${1:-all}
last=0
clear_line() { [ -t 2 ] && printf '\r\033[K' >&2; return 0; }
while IFS= read -r line; do
  if [[ "$line" =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
    if [ -t 2 ]; then
      printf '\r\033[K%s' "${line:0:100}" >&2
    else
      percent=$((100 * BASH_REMATCH[1] / BASH_REMATCH[2]))
      if [ $((percent / 20)) -ne $((last / 20)) ]; then
        printf '    %s%%\n' "$percent" >&2
      fi
      last=$percent
    fi
  elif [ "$mode" = all ] || [[ "$line" == *llama.cpp* ]]; then
    clear_line
    printf '%s\n' "$line" >&2
  fi
done
clear_line
