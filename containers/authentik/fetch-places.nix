# fetchPlaces { name, pin, version, pinsFile }: one pinned source, from the first of its places that
# has it. A fixed-output derivation: whatever the place, the hash decides.
#
# `pin` is an entry of `sources` in pins.json; `{version}` in its texts is `version`; files are
# relative to `pinsFile`.
{
  lib,
  stdenvNoCC,
  cacert,
  gitMinimal,
  go_1_25,
  nodejs_24,
  python3Packages,
  unzip,
}:

{
  name,
  pin,
  version,
  pinsFile,
}:

let
  kinds = {
    file = [ ];
    git = [ gitMinimal ];
    go = [ go_1_25 ];
    npm = [ nodejs_24 ];
    pypi = [
      python3Packages.pip
      unzip
    ];
  };

  settings = {
    file = [ ];
    git = [ "FETCH_GITCONFIG" ];
    go = [
      "FETCH_GITCONFIG"
      "FETCH_GO_ENV"
    ];
    npm = [ "FETCH_NPMRC" ];
    pypi = [ "FETCH_PIP_CONF" ];
  };

  kindOf =
    place:
    let
      found = builtins.filter (kind: place ? ${kind}) (builtins.attrNames kinds);
    in
    if builtins.length found == 1 then
      builtins.head found
    else
      throw "the pin `${name}` has a place that is none of ${toString (builtins.attrNames kinds)}: ${builtins.toJSON place}";

  expand = builtins.replaceStrings [ "{version}" ] [ version ];

  # kind, what, which version of it, where in it
  attempt =
    place:
    let
      kind = kindOf place;
    in
    "attempt "
    + lib.escapeShellArgs [
      kind
      (if kind == "file" then "${dirOf pinsFile + "/${place.file}"}" else expand place.${kind})
      (expand (place.rev or place.version or ""))
      (place.path or "")
    ];
in
stdenvNoCC.mkDerivation {
  pname = "authentik-${name}";
  inherit version;

  nativeBuildInputs = [ cacert ] ++ lib.unique (lib.concatMap (place: kinds.${kindOf place}) pin.places);

  # the settings of the clients of these places, from `cargo xtask test-build`, and what else says how to connect
  impureEnvVars =
    lib.fetchers.proxyImpureEnvVars
    ++ lib.unique (lib.concatMap (place: settings.${kindOf place}) pin.places)
    ++ [
      "GIT_PROXY_COMMAND"
      "GOPROXY"
      "SOCKS_SERVER"
    ];
  outputHash = pin.hash;
  outputHashMode = pin.mode or "recursive";
  preferLocalBuild = true;
  # a list is a text below
  __structuredAttrs = false;

  files = pin.files or [ ];
  place = ./fetch-place.sh;

  # In a shell of its own: stdenv has a trap for the exit, too.
  buildCommand = ''
    (
    export HOME=$TMPDIR NODE_EXTRA_CA_CERTS=$SSL_CERT_FILE GIT_SSL_CAINFO=$SSL_CERT_FILE
    # The text of a gitconfig. In memory, where there is some for files: it may hold a login.
    if [ -n "''${FETCH_GITCONFIG:-}" ]; then
      GIT_CONFIG_GLOBAL=$(mktemp -p /dev/shm 2>/dev/null || mktemp)
      trap 'rm -f "$GIT_CONFIG_GLOBAL"' EXIT
      printf '%s' "$FETCH_GITCONFIG" >$GIT_CONFIG_GLOBAL
      export GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM=1
      unset FETCH_GITCONFIG
    fi

    # Puts what the place has into the output, if it has all that is wanted.
    attempt() {
      echo "asking $1 for $2 $3"
      cd "$(mktemp -d)"
      local from="got''${4:+/$4}" file paths=(''${4:+"$4"})
      if [ -n "$files" ]; then
        paths=($files)
        paths=("''${paths[@]/#/''${4:+$4/}}")
      fi
      if ! bash -euo pipefail $place "$1" "$2" "$3" "''${paths[@]}"; then
        echo "$1: $2 $3 can't be had from there" >&2
        return
      fi
      for file in "" $files; do
        file=$from''${file:+/$file}
        if [ ! -e "$file" ]; then
          echo "$1: $2 $3 has no ''${file#got/}" >&2
          return
        fi
      done
      if [ -n "$files" ]; then
        mkdir $out
        for file in $files; do
          cp "$from/$file" $out/
        done
      else
        cp -r "$from" $out
      fi
      echo "taken from $1: $2 $3''${4:+, $4}"
      exit 0
    }

    ${lib.concatMapStringsSep "\n" attempt pin.places}
    echo "none of the ${toString (builtins.length pin.places)} places of the pin ${name} has it" >&2
    exit 1
    )
  '';

  passthru.pin = {
    file = pinsFile;
    key = [
      "sources"
      name
      "hash"
    ];
  };
}
