#!@shell@
# PostgreSQL's server, which finds the time zones through a link in its data folder.
set -eu
data=${PGDATA:-}
arguments=()
while [ $# != 0 ]; do
  case $1 in
    -D) data=$2 && shift ;;
    -D*) data=${1#-D} ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
if [ -n "$data" ] && [ -e "$data/PG_VERSION" ]; then
  cd "$data"
  @coreutils@/ln -sfn @zones@ zoneinfo
  export PGDATA=$PWD
fi
exec @postgres@ "${arguments[@]}"
