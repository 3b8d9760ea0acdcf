# Shared by the scripts in this folder: sourced, not run.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() { # one line, status 2
  echo "$(basename "$0"): $*" >&2
  exit 2
}

# Reads a command line as $usage describes it. The first line of $usage shows the operands, after
# "[OPTION]...". A line of its own describes each option:
#   "  --quick"        sets quick=yes
#   "  --seed N"       sets seed, to a whole number
#   "  --out DIR"      sets out
#   "  --only NAME..." adds to the array `only`
# Dashes in a name become underscores. Operands go to the array `words`.
words=()
options() {
  local line operand name
  while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
      echo "$usage"
      exit 0 ;;
    -*)
      line=$(awk -v wanted="$1" '/^  --/ && $1 == wanted' <<<"$usage")
      [ -n "$line" ] || fail "unknown option '$1'; --help lists them"
      read -r name operand _ <<<"$line"
      name=${name#--}
      local -n variable=${name//-/_}
      if [[ $operand =~ ^[A-Z]+(\.\.\.)?$ ]]; then
        [ -n "${2:-}" ] || fail "$1 needs a value: $1 ${operand%...}"
        [ "$operand" != N ] || [[ $2 =~ ^[0-9]+$ ]] || fail "$1 needs a whole number, not '$2'"
        if [[ $operand == *... ]]; then variable+=("$2"); else variable=$2; fi
        shift
      else
        variable=yes
      fi ;;
    *)
      [[ ${usage%%$'\n'*} != *'[OPTION]...' ]] || fail "unexpected '$1'; --help describes the options"
      words+=("$1") ;;
    esac
    shift
  done
}

# Installs the missing packages of the given lists, unless --no-install was given.
need_packages() {
  local missing=() package
  for package in $(cat "$@" | grep -v '^#'); do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  [ -z "${no_install:-}" ] || fail "missing packages: ${missing[*]}; install them, or leave --no-install out"
  local as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  echo "installing: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Configures the preset and builds the given targets, or all.
build() {
  local preset=$1
  shift
  (cd "$root" && cmake --preset "$preset" >/dev/null && cmake --build --preset "$preset" ${1:+--target "$@"})
}

need_folder() { # makes the folder that results go to
  mkdir -p "$1" 2>/dev/null && [ -w "$1" ] || fail "cannot write to '$1'; choose another folder with --out"
}

# own_folder NAME: sets `out` to a folder of this machine's, unless --out gave one. Needs $program, built.
own_folder() {
  out=${out:-$root/results/$("$program" --machine)/$1}
  need_folder "$out"
}

# keep FILE COMMAND...: FILE receives what COMMAND prints, unless an earlier run left it there already.
keep() {
  local file=$1 status=0
  shift
  [ ! -s "$file" ] || return 0
  "$@" >"$file.part" || status=$?
  case $status in
  0 | 1) mv "$file.part" "$file" ;; # 1: a finding, which the table shows
  3) rm "$file.part" ;;             # this machine lacks something; the command has said what
  *)
    echo "$(basename "$0"): status $status from: $*" >&2
    exit $status ;;
  esac
}
