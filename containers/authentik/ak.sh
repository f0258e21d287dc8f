#!@shell@
# Upstream's one command, with what it looks for on the machine: time zones, certificates and a folder for
# what lasts as long as a process (sockets, keys, the file that says as what it runs).
set -euo pipefail
export PATH=@path@${PATH:+:$PATH}
export PYTHONTZPATH=${PYTHONTZPATH:-@zones@} TZDIR=${TZDIR:-@zones@} ZONEINFO=${ZONEINFO:-@zones@}
export SSL_CERT_FILE=${SSL_CERT_FILE:-@certificates@}
[ -w "${TMPDIR:-}" ] || TMPDIR=/tmp
export TMPDIR=${TMPDIR%/}
cd @out@

# Server and worker give the same names to different files, and may share TMPDIR.
of() {
  echo "$TMPDIR/authentik-$1"
}
case "${1:-}" in
server | worker)
  TMPDIR=$(of "$1")
  # nobody else may have made it
  if ! mkdir -m 0700 "$TMPDIR" 2>/dev/null && ! [[ -d $TMPDIR && -O $TMPDIR && ! -L $TMPDIR ]]; then
    echo "ak: $TMPDIR is not a folder of this user's: set TMPDIR to one that only this user can write to" >&2
    exit 1
  fi
  ;;
healthcheck)
  asked=
  for part in server worker; do
    if [ -e "$(of $part)/authentik-mode" ]; then
      asked=yes
      TMPDIR=$(of $part) @ak@ healthcheck || exit
    fi
  done
  if [ -z "$asked" ]; then
    echo "ak: neither server nor worker runs with TMPDIR=$TMPDIR" >&2
    exit 1
  fi
  exit 0
  ;;
esac
exec @ak@ "$@"
