# The far side of `cargo xtask test-build --on HOST`: what `sh -s` reads there.
#
# It runs one command after the other for the near side, each in a session of its own, and sees to it that
# nothing outlives the run: when the connection ends, when the near side falls silent, when it is told to
# stop, or when a part of itself is killed, the command's processes are ended and the run's folder goes.
# What even that can't remove (all parts killed at once) the next run removes.
#
# Before this come the variables `nl` (a newline), `marker` (a word that nobody else knows), `whose` (who
# runs this), `nixpkgs` (a store path, or nothing) and `common` (watchdog.sh). Nothing more is sent before
# the greeting, because some shells read their script ahead.
#
# Requests are lines of quoted words on stdin:
#   beat                      the near side lives
#   files FOLDER BYTES        a compressed tar file of this size follows; unpack it into FOLDER
#   run MODE COMMAND...       run the command lines; MODE `all`, or `while` each succeeds, or `last`: as
#                             `while`, and end the session if all did
#   stream COMMAND            run it; what it says on stderr goes there as it comes
#   raw COMMAND               run it; what it writes on stdout goes there as it comes; ends the session
#   stop                      end what runs
#   drv PATH...               the beginning of a store derivation
#   look PATH...              which of these paths exist, and which build folders there are
#   bye                       end the session
# Answers on stdout: `reply STATUS BYTES BYTES` followed by stdout and stderr, `drv TEXT`,
# `look DIGITS NAMES`, `beat`, `problem TEXT`.

umask 077
for place in "${HOME:-/}/.nix-profile/bin" "${HOME:-/}/.local/state/nix/profiles/profile/bin" \
  /nix/var/nix/profiles/default/bin /run/current-system/sw/bin; do
  case :$PATH: in
  *:"$place":*) ;;
  *) PATH=$PATH:$place ;;
  esac
done
export PATH
cd /
worker= watcher= streaming= turn=0 owner=$$
eval "$common"

# Removes what runs left behind whose far side is no more.
remove_left_overs() {
  for left in "$base"/xtask-on.*; do
    [ -d "$left" ] && [ ! -L "$left" ] && [ -O "$left" ] || continue
    maker=${left%.*}
    maker=${maker##*.}
    pid=${maker#*-}
    pid=${pid%-*}
    case $pid in
    '' | *[!0-9]*) continue ;;
    esac
    # in another container the same numbers mean other processes
    [ "${maker%%-*}" = "$here" ] || continue
    began "$pid" && [ "$began" = "${maker##*-}" ] && continue
    kill_all_of "${left##*/}"
    remove "$left"
  done
}

# Makes the run's folder, if this is a machine where anything can be done.
settle() {
  problem= folder= born=
  base=${TMPDIR:-/tmp}
  here=$(readlink /proc/self/ns/pid)
  here=${here#*[}
  here=${here%]}
  if began $$; then
    born=$began
    remove_left_overs
    folder=$(mktemp -d "$base/xtask-on.$whose.${here:-0}-$$-$born.XXXXXX" 2>&1) &&
      # open to the users that build, closed to their looking around
      chmod 711 "$folder" && mkdir "$folder/tmp" && chmod 711 "$folder/tmp" || { problem=$folder folder=; }
  fi
}

greet() {
  version=$(nix-store --version 2>/dev/null)
  has_nixpkgs=
  if [ -n "$version" ] && [ -e "$nixpkgs" ] && nix-store --check-validity "$nixpkgs" 2>/dev/null; then
    has_nixpkgs=yes
  fi
  # root and the owner of Nix's database need no daemon
  direct=
  for place in /nix/var/nix/db /nix/var/nix /nix/var /nix; do
    [ ! -e $place ] || break
  done
  case ${NIX_REMOTE:-auto} in
  auto | local) [ "$(id -u)" != 0 ] && [ ! -O $place ] || direct=yes ;;
  esac
  missing=
  for program in dd grep gzip tar wc; do
    command -v $program >/dev/null || missing="$missing $program"
  done
  printf '\n%s\n' "$marker"
  printf '%s\0' "folder=$folder" "problem=$problem" "version=$version" "system=$(uname -sm)" \
    "direct=$direct" "has_nixpkgs=$has_nixpkgs" "missing=$missing" "node=$(command -v node)" "tools_path=$PATH"
  env | while IFS== read -r name value; do
    case $name in
    *[!A-Za-z0-9_]*) ;;
    HOME | USER | TMPDIR | XDG_CONFIG_HOME | XDG_STATE_HOME | CARGO_HOME | NIX_* | NPM_CONFIG_* | npm_config_* | PIP_* | GO* | *_proxy | *_PROXY)
      eval "value=\${$name-}"
      printf '%s\0' "$name=$value"
      ;;
    esac
  done
  printf '\0'
}

# Whether nothing runs, and nothing was killed that may have left something running.
is_idle() {
  ! find_job && { [ -z "$worker" ] || [ -e "$folder/answered.$turn" ] || ! began "$worker"; }
}

# In a session of its own, so that whoever kills this process with its group does not kill its watcher.
start_watching() {
  own=
  ! command -v setsid >/dev/null || own=setsid
  $own sh -c "$common${nl}folder=\$1 owner=\$2 born=\$3${nl}watch" sh "$folder" $$ "$born" \
    </dev/null >/dev/null 2>&1 &
  watcher=$!
}

# Runs a command line in a session of its own, and sets `status`. Words with `=` before the program are
# variables; they are on no command line, which everybody could read.
one() {
  eval "set -- $1"
  if command -v setsid >/dev/null; then
    own=setsid
  else
    own=
    set -m
  fi
  (
    umask 022
    export XTASK_RUN="${folder##*/}" TMPDIR="$folder/tmp"
    while :; do
      case $1 in
      [A-Z]*=*) export "$1" && shift ;;
      *) break ;;
      esac
    done
    exec $own "$@"
  ) &
  job=$!
  set +m
  echo $job >"$folder/job"
  [ ! -e "$folder/stopped" ] || end_session TERM $job
  wait $job
  status=$?
  # what was killed may have left others running
  [ $status -lt 128 ] || kill_all_of "${folder##*/}"
  : >"$folder/job"
}

# What a request asks to be run.
work() {
  kind=$1
  shift
  case $kind in
  run)
    mode=$1
    shift
    left=$#
    for command do
      one "$command" >"$folder/out" 2>"$folder/err"
      if [ "${status:-1}" != 0 ] && ! [ -s "$folder/err" ] && ! echo >"$folder/probe"; then
        printf 'problem no space left in %s\n' "$folder"
        kill -TERM $$
        return
      fi 2>/dev/null
      [ "$mode" = all ] || [ $status = 0 ] || left=1
      left=$((left - 1))
      # before the answer: with the last one the near side may leave at once
      [ $left != 0 ] || : >"$folder/answered.$turn"
      set -- $(cd "$folder" && wc -c out err)
      printf 'reply %s %s %s\n' $status $1 $3
      cat "$folder/out" "$folder/err"
      [ $left != 0 ] || break
    done
    [ "$mode" != last ] || [ $status != 0 ] || kill -TERM $$
    ;;
  stream)
    one "$1" >/dev/null
    : >"$folder/answered.$turn"
    printf '\n%s\n' "$marker" >&2
    printf 'reply %s 0 0\n' $status
    ;;
  raw)
    echo raw
    one "$1"
    [ $status = 0 ] || : >"$folder/failed"
    kill -TERM $$
    ;;
  esac
}

problem() {
  printf 'problem %s\n' "$(printf %s "$1" | tr '\n' ' ')"
  tidy
  exit 1
}

receive() {
  left=$2 before=$2
  : >"$folder/packed"
  while [ "$left" -gt 0 ]; do
    size=$left
    [ "$size" -le 1048576 ] || size=1048576
    # dd reads no more than this, unlike most programs
    said=$(dd bs="$size" count=1 2>&1 >>"$folder/packed") || problem "$said"
    got=$(wc -c <"$folder/packed")
    left=$(($2 - got))
    if [ "$left" -eq "$before" ]; then
      # the end, in the middle of it
      tidy
      exit 1
    fi
    before=$left
    : >"$folder/beat"
  done
  : >"$folder/busy"
  said=$({ mkdir -p "$folder/$1" && gzip -dc <"$folder/packed" | tar xof - -C "$folder/$1"; } 2>&1) ||
    problem "$said"
  : >"$folder/packed"
  : >"$folder/beat"
  rm -f "$folder/busy"
  echo 'reply 0 0 0'
}

serve() {
  while IFS= read -r line; do
    eval "set -- $line"
    request=$1
    shift
    case $request in
    beat)
      : >"$folder/beat"
      began "$watcher" || start_watching
      if [ -n "$worker" ] && ! began "$worker" && [ ! -e "$folder/answered.$turn" ]; then
        # it was killed
        break
      fi
      [ -z "$streaming" ] || [ -e "$folder/answered.$turn" ] || echo beat
      ;;
    files) receive "$@" ;;
    run | stream | raw)
      [ ! -e "$folder/stopped" ] || rm -f "$folder/stopped"
      turn=$((turn + 1))
      streaming=
      [ $request != stream ] || streaming=yes
      work $request "$@" </dev/null &
      worker=$!
      ;;
    stop)
      : >"$folder/stopped"
      ! find_job || end_session TERM "$job"
      ;;
    drv) printf 'drv %s\n' "$(dd if="$1" bs=3500 count=1 2>/dev/null)" ;;
    look)
      seen=
      for path do
        [ -e "$path" ] && seen=${seen}1 || seen=${seen}0
      done
      seen="$seen "
      for path in "$folder"/tmp/nix-build-*; do
        [ ! -e "$path" ] || seen="$seen ${path##*/}"
      done
      printf 'look %s\n' "$seen"
      ;;
    bye) break ;;
    esac
  done
}

leave() {
  trap '' TERM INT HUP PIPE
  code=0
  [ ! -e "$folder/failed" ] || code=1
  [ -z "$watcher" ] || kill "$watcher" 2>/dev/null
  if [ -n "$folder" ] && is_idle; then
    # nobody has to wait for that; what it leaves, if it is killed, the next run removes
    (exec </dev/null >/dev/null 2>&1 && remove "$folder") &
  elif [ -n "$folder" ]; then
    tidy
  fi
  exit $code
}

main() {
  settle
  # writing to a connection that was lost raises PIPE
  trap leave TERM INT HUP PIPE
  [ -z "$folder" ] || start_watching
  greet
  [ -z "$folder" ] || serve
  leave
}

main
