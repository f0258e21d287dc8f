# The shell side of stdenvNoCC: what a builder of nixpkgs' stdenv may count on, over the host's
# tools. `initialPath` and `shell` are set by the two lines that stdenv.nix puts before these.
#
# Setup hooks are sourced with nounset, phases run without it; errexit, pipefail, inherit_errexit and
# nullglob (a pattern that matches nothing expands to nothing) hold in both.

set -e -u -o pipefail
shopt -s inherit_errexit nullglob

# With other settings a builder would take whatever it finds, or none of it.
if [ ! -d /host/usr ]; then
  echo "host-pkgs: /host/usr is not there, so Nix builds without host-pkgs' settings; cargo xtask setup says why" >&2
  exit 1
fi

: "${outputs:=out}"
prefix="$out"
export NIX_LOG_FD="${NIX_LOG_FD:-2}"

# ---- Reporting

# Says on Nix's log channel which phase begins; test-build times phases by these lines.
showPhaseHeader() {
  printf '@nix { "action": "setPhase", "phase": "%s" }\n' "$1" >&"$NIX_LOG_FD"
  echo "Running phase: $1"
}

exitHandler() {
  local exitCode=$?
  set +e
  if [ "$exitCode" != 0 ]; then
    runHook failureHook
  else
    runHook exitHook
  fi
  exit "$exitCode"
}
trap exitHandler EXIT

# ---- Hooks

# One hook as the derivation or a script gives it: a function of that name, or else the text of a variable.
_callImplicitHook() {
  local default="$1" name="$2"
  if declare -F "$name" >/dev/null; then
    "$name"
  elif [ -n "${!name:-}" ]; then
    eval "${!name}"
  else
    return "$default"
  fi
}

# A name of a function, or text.
_eval() {
  if declare -F "$1" >/dev/null; then
    "$@"
  else
    eval "$1"
  fi
}

# runHook NAME: first the implicit hook, then those that setup hooks put into the array NAME + "Hooks"
# (`preBuild`: preBuildHooks; `postHook`: postHooks).
runHook() {
  local name="$1" hook
  shift
  local -n hooks="${name%Hook}Hooks"
  _callImplicitHook 0 "$name"
  for hook in "${hooks[@]}"; do
    _eval "$hook" "$@"
  done
  return 0
}

# ---- Search paths

# addToSearchPath VARIABLE FOLDER: appends a folder that exists.
addToSearchPath() {
  local -n path="$1"
  if [ -d "$2" ]; then
    export "$1=${path:+$path:}$2"
  fi
}

# ---- Inputs: PATH holds the inputs' programs and the initial path, nothing of the host.

declare -a envHooks=()
addEnvHooks() {
  envHooks+=("$2")
}

declare -A _activated=()
_inputs=()

# Puts a package and what it propagates into _inputs, once each.
findInputs() {
  local package="$1" propagated="$2" next
  [ -z "${_activated[$package]:-}" ] || return 0
  if [ ! -e "$package" ]; then
    echo "build input $package does not exist" >&2
    exit 1
  fi
  _activated[$package]=1
  _inputs+=("$package")
  if [ -f "$package/nix-support/$propagated" ]; then
    for next in $(<"$package/nix-support/$propagated"); do
      findInputs "$next" "$propagated"
    done
  fi
}

PATH=
HOST_PATH=
_nativePath=
_hostPath=

_activate() {
  local -n into="$1"
  local package
  for package in "${_inputs[@]}"; do
    if [ -f "$package" ]; then
      # a file among the inputs is a setup hook itself
      source "$package"
      continue
    fi
    if [ -d "$package/bin" ]; then
      into="${into:+$into:}$package/bin"
    fi
    # `outputHash` and whatever else the derivation has is set by now: hooks ask for it.
    if [ -f "$package/nix-support/setup-hook" ]; then
      source "$package/nix-support/setup-hook"
    fi
  done
}

for _package in $initialPath; do
  addToSearchPath PATH "$_package/bin"
done
_initial="$PATH"
for _package in ${nativeBuildInputs:-} ${propagatedNativeBuildInputs:-}; do
  findInputs "$_package" propagated-native-build-inputs
done
_nativeInputs=("${_inputs[@]}")
_activate _nativePath
_inputs=()
_activated=()
for _package in ${buildInputs:-} ${propagatedBuildInputs:-}; do
  findInputs "$_package" propagated-build-inputs
done
_hostInputs=("${_inputs[@]}")
_activate _hostPath

# Without strictDeps, programs of `buildInputs` can be run too, and the output's scripts may use the
# initial path's interpreters.
PATH="${_nativePath:+$_nativePath:}$_initial"
HOST_PATH="$_hostPath"
if [ -z "${strictDeps:-}" ]; then
  PATH="$PATH${_hostPath:+:$_hostPath}"
  HOST_PATH="${_hostPath:+$_hostPath:}$_initial"
fi
export PATH HOST_PATH

for _package in "${_nativeInputs[@]}" "${_hostInputs[@]}"; do
  for _hook in "${envHooks[@]}"; do
    "$_hook" "$_package"
  done
done

export SHELL="$shell" CONFIG_SHELL="$shell"
export TZ=UTC GZIP_NO_TIMESTAMPS=1
# Without a package of certificates among the inputs no TLS peer is trusted.
export NIX_SSL_CERT_FILE="${NIX_SSL_CERT_FILE:-/no-cert-file.crt}"
export SSL_CERT_FILE="${SSL_CERT_FILE:-/no-cert-file.crt}"
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-315532800}"
if [ "${NIX_BUILD_CORES:-1}" -le 0 ]; then
  NIX_BUILD_CORES=$(nproc)
fi
export NIX_BUILD_CORES

# Fixed outputs are told of this machine's settings of the package clients that they name in `impureEnvVars`,
# and nothing else is. There may be logins in them: `cargo xtask test-build` hands them over in variables or,
# through a daemon, in a folder, and here they lie in memory that no other build sees.
_hasSettings() {
  local variable="$1" text="${!1:-}"
  settings=
  unset "$variable"
  case " ${impureEnvVars:-} " in
    *" $variable "*) ;;
    *) return 1 ;;
  esac
  if [ -z "$text" ] && [ -s "/host/clients/$2" ]; then
    text="$(cat "/host/clients/$2")"
  fi
  [ -n "$text" ] || return 1
  : "${_settingsFolder:=$(mktemp -d -p /dev/shm)}"
  settings="$_settingsFolder/$2"
  printf '%s\n' "$text" >"$settings"
}
if [ -n "${outputHash+set}" ]; then
  if _hasSettings FETCH_NPMRC npmrc; then export NPM_CONFIG_USERCONFIG="$settings"; fi
  if _hasSettings FETCH_PIP_CONF pip.conf; then export PIP_CONFIG_FILE="$settings"; fi
  if _hasSettings FETCH_GO_ENV go.env; then export GOENV="$settings"; fi
  if _hasSettings FETCH_CARGO_CONFIG cargo.toml; then export CARGO_SETTINGS="$settings"; fi
  if _hasSettings FETCH_GITCONFIG gitconfig; then
    export GIT_CONFIG_GLOBAL="$settings" GIT_CONFIG_NOSYSTEM=1
  fi
  if [ -e /host/clients/proxy.sh ]; then source /host/clients/proxy.sh; fi
fi

# ---- Text substitution

# Replaces each occurrence of a string in the variable named by $1; $4 says what no occurrence is.
_replaceIn() {
  local -n text="$1"
  local pattern="$2" replacement="$3" onMiss="$4" file="$5"
  if [ -z "$pattern" ]; then
    echo "substitute: the string to replace is empty ($file)" >&2
    return 1
  fi
  if [[ "$text" != *"$pattern"* ]]; then
    case "$onMiss" in
      fail)
        echo "substitute: pattern '$pattern' doesn't match anything in file '$file'" >&2
        return 1
        ;;
      warn) echo "substitute: pattern '$pattern' doesn't match anything in file '$file'" >&2 ;;
    esac
  fi
  text="${text//"$pattern"/"$replacement"}"
}

# Reads a whole file into the variable named by $1, byte for byte; a NUL byte can't be held.
_readFile() {
  local -n target="$1"
  if [ ! -f "$2" ]; then
    echo "substitute: file '$2' does not exist" >&2
    return 1
  fi
  if IFS= read -r -d '' target <"$2"; then
    echo "substitute: file '$2' has a NUL byte, it can't be edited as text" >&2
    return 1
  fi
}

# substitute INPUT OUTPUT (--replace-fail|--replace-warn|--replace-quiet FROM TO | --subst-var NAME |
# --subst-var-by NAME VALUE)...
substitute() {
  local input="$1" output="$2" content variable
  shift 2
  _readFile content "$input"
  while [ $# -gt 0 ]; do
    case "$1" in
      --replace-fail | --replace-warn | --replace-quiet)
        _replaceIn content "$2" "$3" "${1#--replace-}" "$input" || return 1
        shift 3
        ;;
      --subst-var)
        variable="$2"
        if [ -z "${!variable+set}" ]; then
          echo "substitute: variable \$$variable is unset" >&2
          return 1
        fi
        _replaceIn content "@$variable@" "${!variable}" quiet "$input" || return 1
        shift 2
        ;;
      --subst-var-by)
        _replaceIn content "@$2@" "$3" quiet "$input" || return 1
        shift 3
        ;;
      *)
        echo "substitute: unknown argument '$1'" >&2
        return 1
        ;;
    esac
  done
  if [ -e "$output" ]; then
    chmod u+w "$output"
  fi
  printf '%s' "$content" >"$output"
}

# substituteInPlace FILE... OPTION...: the files stand before the options.
substituteInPlace() {
  local -a files=()
  local file
  while [ $# -gt 0 ] && [[ "$1" != --* ]]; do
    files+=("$1")
    shift
  done
  if [ "${#files[@]}" = 0 ]; then
    echo "substituteInPlace: no file named" >&2
    return 1
  fi
  for file in "${files[@]}"; do
    substitute "$file" "$file" "$@" || return 1
  done
}

# ---- Shebangs

# patchShebangs [--build|--host] [--update] [--] PATH...: in executable scripts, the interpreter
# becomes the program of that name on PATH (--build) or among the package's own inputs (--host; the
# default for files in the store where strictDeps is set). One that isn't found there stays.
patchShebangs() {
  local searchPath= update= file
  while [ $# -gt 0 ]; do
    case "$1" in
      --build) searchPath="$PATH" ;;
      --host) searchPath="${HOST_PATH:-/none}" ;;
      --update) update=1 ;;
      --)
        shift
        break
        ;;
      -*)
        echo "patchShebangs: unknown option '$1'" >&2
        return 1
        ;;
      *) break ;;
    esac
    shift
  done
  if [ $# = 0 ]; then
    echo "patchShebangs: no path named" >&2
    return 1
  fi
  echo "patching script interpreter paths in $*"
  while IFS= read -r -d '' file; do
    if [ -z "$searchPath" ]; then
      if [ -n "${strictDeps:-}" ] && [[ "$file" == "$NIX_STORE"/* ]]; then
        searchPath="${HOST_PATH:-/none}"
      else
        searchPath="$PATH"
      fi
    fi
    _patchShebang "$file" "$searchPath" "$update"
  done < <(find "$@" -type f -perm -0100 -print0)
}

_patchShebang() {
  local file="$1" searchPath="$2" update="$3" start line interpreter args program found new mode stamp
  IFS= read -r -n 2 start <"$file" || true
  [ "$start" = '#!' ] || return 0
  IFS= read -r line <"$file" || true
  read -r interpreter args <<<"${line#\#!}"
  interpreter="${interpreter:-/bin/sh}"
  if [ -z "$update" ] && [[ "$interpreter" == "$NIX_STORE"/* ]]; then
    return 0
  fi
  find_program() { PATH="$searchPath" type -P "$1" || true; }
  if [[ "$interpreter" == */env ]]; then
    read -r program args <<<"$args"
    if [ "$program" = -S ]; then
      read -r program args <<<"$args"
      found=$(find_program env)
      new="#!$found -S $(find_program "$program")${args:+ $args}"
    elif [[ "$program" == -* || "$program" == *=* ]]; then
      echo "$file: unsupported interpreter directive \"$line\" (set dontPatchShebangs=1 and handle shebang patching yourself)" >&2
      exit 1
    else
      found=$(find_program "$program")
      new="#!$found${args:+ $args}"
    fi
  else
    found=$(find_program "${interpreter##*/}")
    new="#!$found${args:+ $args}"
  fi
  if [ -z "$found" ] || [ "$new" = "$line" ]; then
    return 0
  fi
  echo "$file: interpreter directive changed from \"$line\" to \"$new\""
  mode=$(stat -c %a "$file")
  stamp=$(stat -c %y "$file")
  { printf '%s\n' "$new"; tail -n +2 "$file"; } >"$file.patched"
  chmod "$mode" "$file.patched"
  mv -f "$file.patched" "$file"
  touch -d "$stamp" "$file"
}

# ---- Phases

# The name of a store path without its hash, or the base name of any other.
stripHash() {
  local name
  name=$(basename -- "$1")
  if [[ "$name" =~ ^[a-z0-9]{32}- ]]; then
    name="${name:33}"
  fi
  printf '%s\n' "$name"
}

unpackFile() {
  local file="$1"
  echo "unpacking source archive $file"
  if [ -d "$file" ]; then
    cp -r --preserve=mode,timestamps,links --reflink=auto -- "$file" "$(stripHash "$file")"
    return
  fi
  case "$file" in
    *.tar | *.tar.* | *.tgz | *.tbz2 | *.txz) tar xf "$file" --mode=+w --warning=no-timestamp ;;
    *)
      echo "do not know how to unpack source archive $file" >&2
      exit 1
      ;;
  esac
}

unpackPhase() {
  runHook preUnpack
  local -a sources=() before=() after=()
  local folder known
  read -r -a sources <<<"${srcs:-${src:-}}"
  if [ "${#sources[@]}" = 0 ]; then
    echo "variable \$src or \$srcs should point to the source" >&2
    exit 1
  fi
  before=(*/)
  for folder in "${sources[@]}"; do
    unpackFile "$folder"
  done
  if [ -z "${sourceRoot:-}" ]; then
    for folder in */; do
      known=
      for old in "${before[@]}"; do
        if [ "$old" = "$folder" ]; then
          known=1
        fi
      done
      if [ -z "$known" ]; then
        after+=("${folder%/}")
      fi
    done
    case "${#after[@]}" in
      0)
        echo "unpacker appears to have produced no directories" >&2
        exit 1
        ;;
      1) sourceRoot="${after[0]}" ;;
      *)
        echo "unpacker produced multiple directories: ${after[*]}" >&2
        exit 1
        ;;
    esac
  fi
  echo "source root is $sourceRoot"
  if [ "${dontMakeSourcesWritable:-0}" != 1 ]; then
    chmod -R u+w -- "$sourceRoot"
  fi
  runHook postUnpack
}

patchPhase() {
  runHook prePatch
  local file
  for file in ${patches:-}; do
    echo "applying patch $file"
    patch ${patchFlags:--p1} <"$file"
  done
  runHook postPatch
}

configurePhase() {
  runHook preConfigure
  if [ -x "${configureScript:=./configure}" ]; then
    echo "host-pkgs does not run configure scripts; give a configurePhase" >&2
    exit 1
  fi
  echo "no configure script, doing nothing"
  runHook postConfigure
}

_hasMakefile() {
  [ -n "${makefile:-}" ] || [ -e Makefile ] || [ -e makefile ] || [ -e GNUmakefile ]
}

buildPhase() {
  runHook preBuild
  if [ -z "${makeFlags:-}" ] && ! _hasMakefile; then
    echo "no Makefile or custom buildPhase, doing nothing"
  else
    make ${makefile:+-f "$makefile"} SHELL="$SHELL" ${makeFlags:-} ${buildFlags:-}
  fi
  runHook postBuild
}

checkPhase() {
  runHook preCheck
  if ! _hasMakefile; then
    echo "no Makefile or custom checkPhase, doing nothing"
  else
    make ${makefile:+-f "$makefile"} SHELL="$SHELL" ${makeFlags:-} ${checkFlags:-} "${checkTarget:-check}"
  fi
  runHook postCheck
}

installPhase() {
  runHook preInstall
  if [ -z "${makeFlags:-}" ] && ! _hasMakefile; then
    echo "no Makefile or custom installPhase, doing nothing"
  else
    mkdir -p "$prefix"
    make ${makefile:+-f "$makefile"} SHELL="$SHELL" ${makeFlags:-} ${installFlags:-} ${installTargets:-install}
  fi
  runHook postInstall
}

# Links within the output that name it by its whole path become relative.
_makeSymlinksRelative() {
  local link target
  [ -z "${dontRewriteSymlinks:-}" ] && [ -d "$prefix" ] || return 0
  while IFS= read -r -d '' link; do
    target=$(readlink "$link")
    if [[ "$target" == "$prefix"/* ]]; then
      ln -snrf "$target" "$link"
    fi
  done < <(find "$prefix" -type l -print0)
}

# isELF FILE: whether a file is a program or library. It is asked of each file of an output: the shell alone answers.
isELF() {
  local magic=
  LC_ALL=C IFS= read -r -d '' -n 4 magic <"$1" || true
  [ "$magic" = $'\177ELF' ]
}

# The programs and libraries of the output, each with a NUL.
_elvesOfOutput() {
  local file folder
  for folder in "$@"; do
    [ -d "$prefix/$folder" ] || continue
    while IFS= read -r -d '' file; do
      if isELF "$file"; then
        printf '%s\0' "$file"
      fi
    done < <(find "$prefix/$folder" -type f -print0)
  done
}

# Debug information goes, where there is a `strip`: a builder without a C compiler has none, here and in nixpkgs.
_strip() {
  local file
  [ -z "${dontStrip:-}" ] && type -P strip >/dev/null || return 0
  while IFS= read -r -d '' file; do
    strip -S -p "$file" || echo "strip: $file stays as it is"
  done < <(_elvesOfOutput lib lib32 lib64 libexec bin sbin)
}

# Run paths keep only where something is that is loaded.
_shrinkRpaths() {
  local file
  [ -z "${dontPatchELF:-}" ] && type -P patchelf >/dev/null || return 0
  while IFS= read -r -d '' file; do
    patchelf --shrink-rpath "$file" || true
  done < <(_elvesOfOutput .)
}

_patchShebangsAuto() {
  [ -z "${dontPatchShebangs:-}" ] && [ -e "$prefix" ] || return 0
  patchShebangs --host "$prefix"
}

# A link that points at nothing in the store, or into the build folder, is of no use to anyone.
_noBrokenSymlinks() {
  local link target broken=0
  [ -z "${dontCheckForBrokenSymlinks:-}" ] && { [ -e "$prefix" ] || [ -L "$prefix" ]; } || return 0
  while IFS= read -r -d '' link; do
    target=$(readlink "$link")
    if [[ "$target" != /* ]]; then
      target=$(realpath -ms "$(dirname "$link")/$target")
    fi
    if [[ "$target" == "$NIX_STORE"/* && ! -e "$target" || "$target" == "$NIX_BUILD_TOP"/* ]]; then
      echo "the symlink $link points to a missing target: $target" >&2
      broken=$((broken + 1))
    fi
  done < <(find "$prefix" -type l -print0)
  if [ "$broken" != 0 ]; then
    echo "found $broken dangling symlinks" >&2
    exit 1
  fi
}

fixupOutputHooks+=(_strip _shrinkRpaths _patchShebangsAuto)
postFixupHooks+=(_noBrokenSymlinks _makeSymlinksRelative)

fixupPhase() {
  if [ -e "$out" ]; then
    chmod -R u+w,u-s,g-s "$out"
  fi
  runHook preFixup
  runHook fixupOutput
  local -a propagated
  read -r -a propagated <<<"${propagatedBuildInputs:-}"
  if [ "${#propagated[@]}" != 0 ]; then
    mkdir -p "$out/nix-support"
    printf '%s ' "${propagated[@]}" >"$out/nix-support/propagated-build-inputs"
  fi
  read -r -a propagated <<<"${propagatedNativeBuildInputs:-}"
  if [ "${#propagated[@]}" != 0 ]; then
    mkdir -p "$out/nix-support"
    printf '%s ' "${propagated[@]}" >"$out/nix-support/propagated-native-build-inputs"
  fi
  runHook postFixup
}

installCheckPhase() {
  runHook preInstallCheck
  if ! _hasMakefile; then
    echo "no Makefile or custom installCheckPhase, doing nothing"
  else
    make ${makefile:+-f "$makefile"} SHELL="$SHELL" ${makeFlags:-} ${installCheckFlags:-} "${installCheckTarget:-installcheck}"
  fi
  runHook postInstallCheck
}

runPhase() {
  local phase="$1"
  case "$phase" in
    unpackPhase) [ -z "${dontUnpack:-}" ] || return 0 ;;
    patchPhase) [ -z "${dontPatch:-}" ] || return 0 ;;
    configurePhase) [ -z "${dontConfigure:-}" ] || return 0 ;;
    buildPhase) [ -z "${dontBuild:-}" ] || return 0 ;;
    checkPhase) [ -n "${doCheck:-}" ] || return 0 ;;
    installPhase) [ -z "${dontInstall:-}" ] || return 0 ;;
    fixupPhase) [ -z "${dontFixup:-}" ] || return 0 ;;
    installCheckPhase) [ -n "${doInstallCheck:-}" ] || return 0 ;;
  esac
  showPhaseHeader "$phase"
  # for whoever looks at a folder that --keep-failed left
  (umask 077 && export >"$NIX_BUILD_TOP/env-vars")
  # the variable goes before the function: an argument of the derivation overrides a default phase
  if [ -n "${!phase:-}" ]; then
    eval "${!phase}"
  else
    "$phase"
  fi
  if [ "$phase" = unpackPhase ]; then
    cd -- "${sourceRoot:-.}"
  fi
}

genericBuild() {
  local phase
  if [ -n "${buildCommand:-}" ]; then
    eval "$buildCommand"
    return
  fi
  if [ -z "${phases:-}" ]; then
    phases="${prePhases:-} unpackPhase patchPhase ${preConfigurePhases:-} configurePhase \
      ${preBuildPhases:-} buildPhase checkPhase ${preInstallPhases:-} installPhase \
      ${preFixupPhases:-} fixupPhase installCheckPhase ${preDistPhases:-} ${postPhases:-}"
  fi
  for phase in $phases; do
    runPhase "$phase"
  done
}

set +u
runHook postHook
