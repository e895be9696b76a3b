#!/usr/bin/env bash
# From a fresh Debian 12 to an agent that answers: installs what is needed, builds, starts the daemon,
# runs a turn that calls a tool under approval, and verifies its tape. Repeatable.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n==> %s\n' "$*"; }
# The command as one would type it.
show() {
  printf '$ palyra'
  local word
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_./=:-]+$ ]] && printf ' %s' "$word" || printf " '%s'" "$word"
  done
  printf '\n'
}
fail() {
  printf '\nquickstart: %s\n' "$*" >&2
  exit 1
}

step "Packages"
bash scripts/install-packages.sh || fail "packages could not be installed"

step "Build (Release; the first time takes some minutes)"
log=build/quickstart.log
mkdir -p build
cmake --preset release >"$log" 2>&1 || { tail -n 20 "$log"; fail "configuring failed; all of it: $log"; }
if [[ -t 1 ]]; then
  NINJA_STATUS='[%f/%t, %es] ' ninja -C build/release product || fail "the build failed; see above"
else
  ninja -C build/release product >>"$log" 2>&1 &
  build=$!
  while kill -0 "$build" 2>/dev/null; do
    sleep 10
    grep -oE '^\[[0-9]+/[0-9]+\]' "$log" | tail -n 1 || true
  done
  wait "$build" || { tail -n 20 "$log"; fail "the build failed; all of it: $log"; }
fi

palyra=$PWD/build/release/bin/palyra
run() {
  show "$@"
  "$palyra" "$@"
}

step "Start the daemon"
run daemon start --config palyra.toml || fail "the daemon did not start; see: $palyra daemon logs"

step "A turn that calls a tool; writing needs your approval"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name="hello-$(date +%s).txt"
prompt="/tool fs.write {\"path\": \"$name\", \"expected\": \"absent\", \"content\": \"Written by an agent.\\n\"}"
show run "$prompt" --output json
set +e
"$palyra" run "$prompt" --output json </dev/null >"$work/run.json" 2>"$work/run.err"
code=$?
set -e
[[ $code -eq 75 ]] || { cat "$work/run.json" "$work/run.err"; fail "the run should wait for an approval (exit 75), it ended with $code"; }
field() { sed -nE "s/.*\"$1\": ?\"([^\"]+)\".*/\1/p" "$2" | head -n 1; }
run_id=$(field run_id "$work/run.json")
approval=$(field approval_id "$work/run.json")
[[ -n $run_id && -n $approval ]] || { cat "$work/run.json"; fail "no run or approval in the answer"; }
echo "The run waits (exit code 75). Approving it:"
run approvals allow "$approval"
run runs attach "$run_id"

step "Verify its tape"
run tape verify "$run_id" || fail "the tape does not verify"

cat <<TXT

Palyra works. Next:
  export PATH=$PWD/build/release/bin:\$PATH
  palyra chat                     talk to it (the built-in provider follows rules, it is no model)
  palyra setup                    point it at a real model: any OpenAI-compatible endpoint
  palyra doctor                   where everything lives, and whether it is well
  palyra tape show $run_id
  palyra daemon stop
TXT
