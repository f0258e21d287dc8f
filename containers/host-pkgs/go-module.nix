# `buildGoModule`: nixpkgs' interface over this package set. A fixed output, `goModules`, fetches what
# the module needs; the build itself has no network and compiles with `vendor/` from there.
#
# The module FOD takes over a short list of the derivation's attributes and no others, as in nixpkgs:
# what is in it decides `vendorHash`.
{
  lib,
  stdenvNoCC,
  binutils,
  cacert,
  gitMinimal,
  go,
}:

let
  # Arguments with a meaning in nixpkgs, now or once, by what is to be done instead.
  refused = {
    CGO_ENABLED = "it belongs into `env`";
    GO111MODULE = "Go is always told to use modules";
    GOARCH = "host-pkgs builds for this machine only";
    GOOS = "host-pkgs builds for this machine only";
    GOTOOLCHAIN = "Go never fetches another toolchain";
    allowGoReference = "no output may refer to the compiler";
    buildFlags = "give `ldflags` and `tags`";
    buildFlagsArray = "give `ldflags` and `tags`";
    buildTestBinaries = "host-pkgs does not carry it out, which nixpkgs would";
    modSha256 = "give `vendorHash`";
    vendorSha256 = "give `vendorHash`";
  };

  # What the module FOD takes over, where it is given.
  inherited = [
    "env"
    "patchFlags"
    "patches"
    "postPatch"
    "preBuild"
    "prePatch"
    "sourceRoot"
  ];

  make =
    f: finalAttrs:
    let
      args = f finalAttrs;
      name = args.name or "${args.pname}-${args.version}";
      wrong = lib.filter (key: args ? ${key}) (builtins.attrNames refused);
      flags = args.GOFLAGS or [ ];

      finalName = finalAttrs.name or "${finalAttrs.pname}-${finalAttrs.version}";
      inherit (finalAttrs) proxyVendor vendorHash;

      goModules =
        (stdenvNoCC.mkDerivation (
          builtins.intersectAttrs (lib.genAttrs inherited (_: null)) finalAttrs
          // {
            name = "${finalName}-go-modules";
            inherit (finalAttrs) src modRoot deleteVendor proxyVendor;
            nativeBuildInputs = finalAttrs.nativeBuildInputs ++ [
              gitMinimal
              cacert
            ];
            postBuild = finalAttrs.modPostBuild or "";

            impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [
              "FETCH_GITCONFIG"
              "FETCH_GO_ENV"
              "GIT_PROXY_COMMAND"
              "GOPROXY"
              "SOCKS_SERVER"
            ];

            configurePhase =
              finalAttrs.modConfigurePhase or ''
                runHook preConfigure
                export GOCACHE=$TMPDIR/go-cache GOPATH=$TMPDIR/go
                cd "$modRoot"
                runHook postConfigure
              '';

            buildPhase =
              finalAttrs.modBuildPhase or ''
                runHook preBuild
                if [ -n "$deleteVendor" ]; then
                  if [ ! -d vendor ]; then
                    echo "there is no folder vendor: 'deleteVendor' has nothing to delete" >&2
                    exit 10
                  fi
                  rm -r vendor
                fi
                if [ -d vendor ]; then
                  echo "the source has a folder vendor: set 'vendorHash = null;' or 'deleteVendor = true;'" >&2
                  exit 10
                fi
                export GIT_SSL_CAINFO=$NIX_SSL_CERT_FILE
                if [ -n "$proxyVendor" ]; then
                  mkdir -p "$GOPATH/pkg/mod/cache/download"
                  go mod download
                else
                  go mod vendor
                  # without dependencies there is none
                  mkdir -p vendor
                fi
                runHook postBuild
              '';

            installPhase =
              finalAttrs.modInstallPhase or ''
                runHook preInstall
                if [ -n "$proxyVendor" ]; then
                  rm -rf "$GOPATH/pkg/mod/cache/download/sumdb"
                  cp -r "$GOPATH/pkg/mod/cache/download" $out
                else
                  cp -r vendor $out
                fi
                if [ -z "$(ls -A $out)" ]; then
                  echo "the module has no dependencies: set 'vendorHash = null;'" >&2
                  exit 10
                fi
                runHook postInstall
              '';

            dontFixup = true;
            outputHashMode = "recursive";
            outputHash = vendorHash;
            # an empty one is a fake one and says no algorithm
            outputHashAlgo = if vendorHash == "" then "sha256" else null;
          }
        )).overrideAttrs
          (finalAttrs.passthru.overrideModAttrs or (args.overrideModAttrs or { }));
    in
    if wrong != [ ] then
      let
        key = builtins.head wrong;
        pos = builtins.unsafeGetAttrPos key args;
        at = lib.optionalString (pos != null) " (given at ${pos.file}:${toString pos.line})";
      in
      throw "${name}: buildGoModule takes no `${key}`: ${refused.${key}}${at}"
    else if !(args ? vendorHash) then
      throw "${name}: buildGoModule wants `vendorHash`, the hash of the Go modules, or null where none are fetched"
    else if lib.any (flag: lib.hasPrefix "-mod=" flag) flags then
      throw "${name}: `-mod=` in `GOFLAGS` is set by buildGoModule: give `proxyVendor` to change it"
    else
      removeAttrs args [ "overrideModAttrs" ]
      // {
        modRoot = args.modRoot or "./.";
        inherit (args) vendorHash;
        deleteVendor = args.deleteVendor or false;
        proxyVendor = args.proxyVendor or false;
        goModules = if vendorHash == null then "" else goModules;

        # programs are stripped
        nativeBuildInputs = [
          binutils
          go
        ]
        ++ args.nativeBuildInputs or [ ];
        strictDeps = true;
        disallowedReferences = args.disallowedReferences or [ ] ++ [ go ];

        env = args.env or { } // {
          inherit (go) GOARCH GOOS;
          GO111MODULE = "on";
          GOTOOLCHAIN = "local";
          CGO_ENABLED = args.env.CGO_ENABLED or go.CGO_ENABLED;
        };
        # nothing in the program says from where and when it is
        ldflags =
          args.ldflags or [ ]
          ++ lib.optionals (!lib.any (lib.hasPrefix "-buildid=") (args.ldflags or [ ])) [ "-buildid=" ];
        GOFLAGS = flags ++ lib.optionals (!proxyVendor) [ "-mod=vendor" ] ++ [ "-trimpath" ];
        # a list becomes a text without the commas between
        tags = lib.concatStringsSep "," (lib.flatten (args.tags or [ ]));

        configurePhase =
          args.configurePhase or ''
            runHook preConfigure
            export GOCACHE=$TMPDIR/go-cache GOPATH=$TMPDIR/go GOPROXY=off GOSUMDB=off
            cd "$modRoot"
            if [ -n "$goModules" ]; then
              if [ -n "$proxyVendor" ]; then
                export GOPROXY="file://$goModules"
              else
                rm -rf vendor
                # read-only, as everything in the store: who changes it has to know
                cp -r "$goModules" vendor
              fi
            fi
            runHook postConfigure
          '';

        buildPhase =
          if toString finalAttrs.env.CGO_ENABLED != "0" then
            throw "${finalName}: host-pkgs has no C compiler for cgo, which is on without `env.CGO_ENABLED = 0`"
          else
            args.buildPhase or ''
              runHook preBuild

              # buildGoDir install|test FOLDER
              buildGoDir() {
                local flags=("-p=$NIX_BUILD_CORES") said
                if [ -n "$tags" ]; then
                  flags+=("-tags=$tags")
                fi
                if [ -n "$ldflags" ]; then
                  flags+=("-ldflags=$ldflags")
                fi
                if [ "$1" = test ]; then
                  # what is checked is the program, not its text
                  flags+=(-vet=off $checkFlags)
                fi
                if said=$(go "$1" "''${flags[@]}" "$2" 2>&1); then
                  if [ -n "$said" ]; then
                    printf '%s\n' "$said"
                  fi
                  return
                fi
                # a folder of files for other machines, or of tests only
                if grep -qE 'build constraints exclude all Go files|no (buildable |non-test )?Go (source )?files' <<<"$said"; then
                  return
                fi
                printf '%s\n' "$said" >&2
                return 1
              }

              # The folders with Go files that end so: those of subPackages, else all but examples, test
              # data, what begins with an underscore and what excludedPackages names.
              getGoDirs() {
                local folder name
                if [ -n "$subPackages" ]; then
                  for folder in $subPackages; do
                    echo "./''${folder#./}"
                  done
                  return
                fi
                find . -type f -name "*$1.go" -not -path '*/vendor/*' -printf '%h\n' | LC_ALL=C sort -u |
                  while IFS= read -r folder; do
                    case "$folder/" in */_* | */examples/* | */Godeps/* | */testdata/*) continue ;; esac
                    for name in $excludedPackages; do
                      if [[ "$folder" == *"$name"* ]]; then
                        continue 2
                      fi
                    done
                    printf '%s\n' "$folder"
                  done
              }

              for folder in $(getGoDirs ""); do
                echo "Building subPackage $folder"
                buildGoDir install "$folder"
              done

              runHook postBuild
            '';

        doCheck = args.doCheck or true;
        checkPhase =
          args.checkPhase or ''
            runHook preCheck
            # tests find their files by the paths that they were compiled from
            export GOFLAGS=''${GOFLAGS//-trimpath/}
            for folder in $(getGoDirs _test); do
              buildGoDir test "$folder"
            done
            runHook postCheck
          '';

        installPhase =
          args.installPhase or ''
            runHook preInstall
            mkdir -p $out
            if [ -d "$GOPATH/bin" ]; then
              cp -r "$GOPATH/bin" $out
            fi
            runHook postInstall
          '';

        passthru = {
          inherit go;
          overrideModAttrs = args.overrideModAttrs or { };
        }
        // args.passthru or { };

        meta = {
          inherit (go.meta) platforms;
        }
        // args.meta or { };
      };
in
args: stdenvNoCC.mkDerivation (make (if builtins.isFunction args then args else _: args))
