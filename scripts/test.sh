#!/usr/bin/env bash
# Installs what is needed, builds and runs every test: all of them under AddressSanitizer and
# UndefinedBehaviorSanitizer, those with threads and without gRPC under ThreadSanitizer too; tells
# 20,000 histories of the simulation and catches its mutants; compiles the SDK and the core with
# clang; checks the format. Repeatable; build/ keeps what it made.
set -euo pipefail
cd "$(dirname "$0")/.."

trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
step() { printf '\n==> %s (%d s)\n' "$*" "$SECONDS"; }
fail() {
  printf '\ntest.sh: %s\n' "$*" >&2
  exit 1
}
# Runs a command into a log; every half a minute prints how far it says it is.
with_progress() {
  local log=$1 pattern=$2 waited=0
  shift 2
  "$@" >"$log" 2>&1 &
  local job=$!
  while kill -0 "$job" 2>/dev/null; do
    sleep 1
    waited=$((waited + 1))
    if ((waited % 30 == 0)); then grep -oE "$pattern" "$log" | tail -n 1 || true; fi
  done
  wait "$job"
}
build() {
  local preset=$1 log=build/build-$1.log
  cmake --preset "$preset" >"$log" 2>&1 || {
    tail -n 40 "$log"
    fail "configuring $preset failed; all of it: $log"
  }
  with_progress "$log" '^\[[0-9]+/[0-9]+\]' ninja -C "build/$preset" "${@:2}" || {
    grep -E -A12 '^FAILED|error:|undefined (reference|symbol)' "$log" | head -n 80
    fail "building $preset failed; all of it: $log"
  }
}
check() {
  local preset=$1 log=build/test-$1.log
  with_progress "$log" '^ *[0-9]+/[0-9]+ Test .*' ctest --preset "$preset" -j "$(nproc)" || {
    grep -vE '^ *(Start|[0-9]+/[0-9]+ Test .* Passed)' "$log" | tail -n 150
    fail "tests failed under $preset; all of it: $log"
  }
  grep -E 'tests passed' "$log"
}

mkdir -p build
step "Packages"
bash scripts/install-packages.sh test

step "Format"
files() { git -c safe.directory='*' ls-files '*.cpp' '*.h' '*.hpp' '*.c' | grep -v '^sdk/frozen/'; }
files | xargs clang-format --dry-run --Werror 2>build/format.log || {
  grep error: build/format.log | cut -d: -f1 | sort | uniq -c >&2
  fail "not formatted; run: git ls-files '*.cpp' '*.h' '*.hpp' '*.c' | xargs clang-format -i"
}

step "Build with AddressSanitizer and UndefinedBehaviorSanitizer"
build asan
step "Test"
check asan

step "Build with ThreadSanitizer what has threads and no gRPC"
build tsan palyra_tests
step "Test"
check tsan

step "Build the simulation and its mutants, optimised"
build sim palyra_sim
step "Tell 20,000 histories; catch every mutant"
check sim

step "Compile the SDK and the core with clang"
build clang palyra_clang

step "Done"
