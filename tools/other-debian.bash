# What the scripts share that run something in another Debian: a root made by debootstrap, namespaces around it, and
# the package clients' settings of this machine. Before it is read come `root`, `suite`, `work` and `mark`, and, if
# folders of this machine are to be seen in there, the array `shown`.
# shellcheck shell=bash

child='' ending=TERM doing='' since=0

# Runs a command, in the background so that a signal to this script ends it at once.
run() {
  ending=$1
  "${@:2}" 9>&- &
  child=$!
  local status=0
  wait "$child" || status=$?
  child=''
  return $status
}

interrupted() {
  trap '' INT TERM HUP
  if [ "$child" ]; then
    kill -"$ending" "$child" || true
    wait "$child" || true
  fi
  exit 130
}
trap interrupted INT TERM HUP

# Begins a step; says how long the last one took.
step() {
  [ ! "$doing" ] || printf '%5d s  %s\n' $((SECONDS - since)) "$doing"
  doing=$1 since=$SECONDS
}

# Debian's files and packages, and nothing else.
make_root() {
  local mirror proxy='' keyring=/usr/share/keyrings/debian-archive-keyring.gpg new=$root.new
  # shellcheck disable=SC2016 # apt's own variables
  mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Identifier: Packages' |
    awk '$1 == "Debian" && !found++ { print $2 }')
  [ "$mirror" ] || could_not 'apt knows no mirror of Debian: run `apt-get update`'
  eval "$(apt-config shell proxy Acquire::http::Proxy)"
  rm -rf --one-file-system "$new"
  run KILL setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc \
    env ${proxy:+http_proxy="$proxy" https_proxy="$proxy"} \
    debootstrap --variant=minbase --keyring="$keyring" "$suite" "$new" "$mirror" >"$work/$suite.log" ||
    could_not "debootstrap failed, see $work/$suite.log"
  # as this machine's apt, from a mirror that may be behind a proxy or a snapshot
  apt-config dump | grep -E '^Acquire::(http|https|Check-Date|Check-Valid-Until)\b' >"$new/etc/apt/apt.conf.d/90outside" || true
  chmod 600 "$new/etc/apt/apt.conf.d/90outside"
  # packages start no daemons
  printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d"
  chmod +x "$new/usr/sbin/policy-rc.d"
  touch "$new/${mark#"$root"}"
  mv "$new" "$root"
}

# Before a build Nix kills all processes of the user that it builds as, those in there too when it is
# this machine's Nix that builds. So the users in there have ids that no other system has.
# shellcheck disable=SC2016
own_ids='
id=$1
for user in $(getent group nixbld | cut -d: -f4 | tr , " "); do
  usermod --uid $((id++)) "$user"
done
'

# What becomes process 1 in there: mounts, goes in, forgets this machine, runs the command.
# shellcheck disable=SC2016
enter='
set -eu
root=$1 folder=$2
shift 2
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs run
for file in /etc/npmrc /etc/pip.conf "$HOME"/{.npmrc,.pip/pip.conf,.config/pip/pip.conf,.config/go/env}; do
  if [ -f "$file" ]; then
    mkdir -p ".${file%/*}"
    touch ".$file"
    mount --bind -o ro "$file" ".$file"
  fi
done
for place in ${shown:-}; do
  mkdir -p ".$place"
  mount --bind -o ro "$place" ".$place"
done
mkdir -p outside
pivot_root . outside
PATH=/usr/sbin:/usr/bin:/sbin:/bin
umount -l /outside
cd "$folder"
status=0
"$@" || status=$?
exit $status
'

# Runs a command in the other Debian, in a folder there.
inside() {
  local name bundle environment=()
  for name in $(compgen -e); do
    case ${name,,} in *_proxy | npm_config_* | pip_* | go*) environment+=("$name=${!name}") ;; esac
  done
  # The same certificates at the same place, as a copy: the network is the same, and they are an input
  # of what fetches.
  for bundle in "${NIX_SSL_CERT_FILE:-}" "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt; do
    [ ! -f "$bundle" ] || break
  done
  mkdir -p "$root/etc/ssl/certs" "$root$HOME"
  cp --remove-destination "$bundle" "$root/etc/ssl/certs/ca-certificates.crt"
  cp --remove-destination --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
  shown="${shown[*]:-}" run KILL setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child \
    bash -c "$enter" enter "$root" "$1" \
    env -i "${environment[@]}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME="$HOME" USER=root LANG=C.UTF-8 NIX_SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    ${NODE_EXTRA_CA_CERTS:+NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt} "${@:2}"
}

# A copy of the repository, as git sees it.
copy_repo() {
  rm -rf --one-file-system "$1"
  mkdir -p "$1"
  git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x --no-same-owner -C "$1"
}

