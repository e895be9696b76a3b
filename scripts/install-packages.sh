#!/usr/bin/env bash
# Installs what building Palyra needs, from Debian; with "test" also what testing needs.
# Quiet when there is nothing to do. Needs root or sudo only if something is missing.
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config ccache mold git ca-certificates
  libboost1.81-dev libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev
  libsqlite3-dev zlib1g-dev libyaml-cpp-dev nlohmann-json3-dev libspdlog-dev libssl-dev
  libtomlplusplus-dev libcli11-dev libcurl4-openssl-dev libvalijson-dev libre2-dev libedit-dev
  libjemalloc-dev
)
if [[ ${1:-} == test ]]; then
  packages+=(libgtest-dev libgmock-dev clang clang-format binutils)
  command -v npm >/dev/null || packages+=(nodejs npm)
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [[ $status == "install ok installed" ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  command -v sudo >/dev/null || {
    echo "These packages are missing and neither root nor sudo is at hand: ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
install() { "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"; }
echo "Installing ${#missing[@]} packages"
if ! { "${as_root[@]}" apt-get update && install; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "Installing failed; the lines above are apt's. Packages: ${missing[*]}" >&2
  exit 1
fi
