# Shared by the scripts in this folder: sourced, not run.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() { # one line, status 2
  echo "$(basename "$0"): $*" >&2
  exit 2
}

# Installs what of the given package lists is missing, unless `install` is no.
need_packages() {
  local missing=() package
  for package in $(cat "$@" | grep -v '^#'); do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  [ "${install:-yes}" = yes ] ||
    fail "missing packages: ${missing[*]}; install them, or leave --no-install out"
  local as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  echo "installing: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Configures the preset and builds the given targets (all of it if none).
build() {
  local preset=$1
  shift
  (cd "$root" && cmake --preset "$preset" >/dev/null && cmake --build --preset "$preset" ${1:+--target "$@"})
}
