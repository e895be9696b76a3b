#!/usr/bin/env bash
# Installs what is needed, builds and runs every test: all of them under AddressSanitizer and
# UndefinedBehaviorSanitizer, those that link no gRPC under ThreadSanitizer too; compiles the SDK and the
# core with clang; checks the format. Repeatable.
set -euo pipefail
cd "$(dirname "$0")/.."

started=$SECONDS
step() { printf '\n==> %s (%d s)\n' "$*" $((SECONDS - started)); }
quietly() {
  local log=build/test.log
  "$@" >"$log" 2>&1 || {
    tail -n 60 "$log"
    printf '\ntest.sh: failed: %s; all of it: %s\n' "$*" "$log" >&2
    exit 1
  }
}
# Builds a preset, with a line of progress now and then.
build() {
  quietly cmake --preset "$1"
  local log=build/build-$1.log
  ninja -C "build/$1" "${@:2}" >"$log" 2>&1 &
  local job=$!
  while kill -0 "$job" 2>/dev/null; do
    sleep 5
    [[ $((SECONDS % 30)) -lt 5 ]] && { grep -oE '^\[[0-9]+/[0-9]+\]' "$log" | tail -n 1 || true; }
  done
  wait "$job" || {
    grep -E -A12 'FAILED|error:' "$log" | head -n 80
    printf '\ntest.sh: building %s failed; all of it: %s\n' "$1" "$log" >&2
    exit 1
  }
}

mkdir -p build
step "Packages"
bash scripts/install-packages.sh test

step "Format"
git ls-files '*.cpp' '*.h' '*.hpp' '*.c' | grep -v '^sdk/frozen/' |
  xargs clang-format --dry-run --Werror || {
  echo "test.sh: run: git ls-files '*.cpp' '*.h' '*.hpp' '*.c' | xargs clang-format -i" >&2
  exit 1
}

step "Build with AddressSanitizer and UndefinedBehaviorSanitizer"
build asan
step "Test"
ctest --preset asan -j 2

step "Build with ThreadSanitizer what links no gRPC"
build tsan
step "Test"
ctest --preset tsan -j 2

step "Compile the SDK and the core with clang"
build clang palyra_clang

step "Done"
