# What a derivation may count on over host-pkgs, because it holds over nixpkgs: each attribute of
# `holds` builds only if it is so, each of `refused` must not evaluate or build. `port` is a TCP port
# of the machine that somebody listens on.
{ pkgs, port }:

let
  inherit (pkgs) lib runCommand stdenvNoCC;

  # what an image can be made of: a script and its shell
  hello = runCommand "hello" { } ''
    mkdir -p $out/bin
    printf '#!%s\necho hello\n' ${pkgs.runtimeShell} >$out/bin/hello
    chmod +x $out/bin/hello
  '';
  image =
    more:
    pkgs.dockerTools.buildLayeredImage (
      {
        name = "hello";
        contents = [ hello ];
      }
      // more
    );

  # a derivation that runs the default phases over an empty source, with these changes
  phased =
    name: attrs:
    stdenvNoCC.mkDerivation (
      {
        inherit name;
        dontUnpack = true;
        installPhase = "touch $out";
      }
      // attrs
    );

  ask = "(exec 3<>/dev/tcp/127.0.0.1/${port}) 2>/dev/null";

  cases = {
  holds = {
    no-network = runCommand "no-network" { } ''
      if ${ask}; then echo "an ordinary derivation reached port ${port}" >&2; exit 1; fi
      test "$(ls /sys/class/net 2>/dev/null || echo lo)" = lo
      test "$(wc -l </proc/net/route)" -le 1
      touch $out
    '';

    # the other half: what makes the first test able to fail
    fixed-output-has-network = runCommand "fixed-output-has-network-${port}" {
      outputHash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    } "${ask} && touch $out";

    host-is-out-of-sight = runCommand "host-is-out-of-sight" { } ''
      test ! -e /usr/bin
      test ! -e /etc/ssl
      for program in python3 git npm apt-get; do
        if type -P $program; then exit 1; fi
      done
      for path in /host/usr/probe /usr/lib/probe; do
        if touch $path 2>/dev/null; then echo "$path can be written" >&2; exit 1; fi
      done
      touch $out
    '';

    path-is-inputs-only = runCommand "path-is-inputs-only" { nativeBuildInputs = [ pkgs.gitMinimal ]; } ''
      git --version
      IFS=:
      for folder in $PATH; do
        [[ "$folder" == /nix/store/* ]]
      done
      touch $out
    '';

    programs-are-told = runCommand "programs-are-told" { } ''
      isELF $(type -P cat)
      printf '\177EL' >short
      printf '\177\0ELF' >other
      printf '#!/bin/sh\n\177ELF' >script
      : >empty
      for file in short other script empty; do
        if isELF $file; then echo "$file is taken for a program" >&2; exit 1; fi
      done
      touch $out
    '';

    shell-options = phased "shell-options" {
      buildPhase = ''
        echo "$never_set"
        if false | true; then exit 1; fi
        for file in *.none; do exit 1; done
      '';
    };

    hooks-in-order = phased "hooks-in-order" {
      postPatch = "preBuildHooks+=(second)";
      preBuild = "order=first";
      buildPhase = ''
        second() { order="$order second"; }
        runHook preBuild
        test "$order" = "first second"
      '';
    };

    phases-in-order = phased "phases-in-order" {
      prePhases = [ "aPhase" ];
      preBuildPhases = [ "bPhase" ];
      postPhases = [ "cPhase" ];
      doCheck = true;
      aPhase = "seen=a";
      bPhase = "seen=\${seen}b";
      buildPhase = "seen=\${seen}B";
      checkPhase = "seen=\${seen}C";
      cPhase = ''test "$seen" = abBC'';
    };

    source-is-writable-and-entered = stdenvNoCC.mkDerivation {
      name = "source-is-writable-and-entered";
      src = ./stdenv-source;
      patches = [ ./stdenv-source.patch ];
      installPhase = ''
        test "$(basename "$PWD")" = stdenv-source
        grep -qx patched file
        cp file $out
      '';
    };

    substitution = phased "substitution" {
      key = "v";
      buildPhase = ''
        printf 'a & b @key@ "x" a\n\nno end' >one
        cp one two
        substituteInPlace one two --replace-fail 'a' '\&/&' --subst-var key --replace-quiet none there
        printf '\\&/& & b v "x" \\&/&\n\nno end' | cmp - one
        cmp one two
        refuse() { if ("$@"); then echo "not refused: $*" >&2; exit 1; fi; }
        refuse substituteInPlace one --replace-fail absent x
        refuse substituteInPlace --replace-fail b x one
        refuse substituteInPlace nowhere --replace-fail b x
        refuse substituteInPlace one --replaceAll b x
      '';
    };

    shebangs = phased "shebangs" {
      buildInputs = [ pkgs.bash ];
      installPhase = ''
        mkdir -p $out/bin
        printf '#!/usr/bin/env bash\necho hello\n' >$out/bin/env
        printf '#! /bin/sh -e\necho hello\n' >$out/bin/arguments
        printf '#!/usr/bin/env no-such-program\n' >$out/bin/unknown
        printf '#!/bin/sh\n' >$out/bin/no-script
        cp $out/bin/env $out/bin/read-only
        chmod 755 $out/bin/*
        chmod 555 $out/bin/read-only
        chmod 644 $out/bin/no-script
        ln -s $out/bin/env $out/bin/link
      '';
      postFixup = ''
        for file in env read-only; do
          test "$(head -n 1 $out/bin/$file)" = "#!${pkgs.bash}/bin/bash"
          test "$($out/bin/$file)" = hello
        done
        test "$(head -n 1 $out/bin/arguments)" = "#!${pkgs.bash}/bin/sh -e"
        test "$(head -n 1 $out/bin/unknown)" = "#!/usr/bin/env no-such-program"
        test "$(head -n 1 $out/bin/no-script)" = "#!/bin/sh"
      '';
      # made relative by fixup, after postFixup
      doInstallCheck = true;
      installCheckPhase = ''test "$(readlink $out/bin/link)" = env'';
    };

    # what a builder with a C compiler does to programs, and one without does not
    stripped =
      let
        program = {
          name = "stripped";
          dontUnpack = true;
          installPhase = ''
            mkdir -p $out/bin $out/empty
            echo 'int main() { return 0; }' >main.c
            gcc -g -Wl,-rpath,$out/empty -o $out/bin/main main.c
            $out/bin/main
          '';
        };
        left = pkgs.stdenv.mkDerivation (program // { dontStrip = true; dontPatchELF = true; });
      in
      runCommand "stripped-and-not" {
        nativeBuildInputs = [ pkgs.patchelf ];
        stripped = pkgs.stdenv.mkDerivation program;
        inherit left;
      } ''
        grep -qa debug_info $left/bin/main
        patchelf --print-rpath $left/bin/main | grep -F $left/empty
        ! grep -qa debug_info $stripped/bin/main || exit 1
        ! patchelf --print-rpath $stripped/bin/main | grep -F $stripped/empty || exit 1
        touch $out
      '';

    node-path = runCommand "node-path" { nativeBuildInputs = [ pkgs.nodejs_24 ]; } ''
      test "$NODE_PATH" = ${pkgs.nodejs_24}/lib/node_modules
      touch $out
    '';

    # a setting that nixpkgs has by default and no longer may one day
    no-structured-attributes = runCommand "no-structured-attributes" {
      __structuredAttrs = false;
      list = [ "a" "b" ];
    } ''
      test "$list" = "a b"
      touch $out
    '';

    strict-dependencies = phased "strict-dependencies" {
      strictDeps = true;
      buildInputs = [ pkgs.gitMinimal ];
      buildPhase = "if type -P git; then exit 1; fi";
    };

    in-both-lists = phased "in-both-lists" {
      strictDeps = true;
      nativeBuildInputs = [ pkgs.gitMinimal ];
      buildInputs = [ pkgs.gitMinimal ];
      buildPhase = ''
        type -P git
        test "$HOST_PATH" = ${pkgs.gitMinimal}/bin
      '';
    };

    loose-dependencies = phased "loose-dependencies" {
      buildInputs = [ pkgs.gitMinimal ];
      buildPhase = "type -P git";
    };

    environment = phased "environment" {
      env.GREETING = "hello world";
      list = [
        "a"
        "b"
      ];
      yes = true;
      no = false;
      nothing = null;
      buildPhase = ''
        test "$GREETING" = "hello world"
        test "$list" = "a b"
        test "$yes" = 1
        test "$no" = ""
        test -z "''${nothing+set}"
        test "$SOURCE_DATE_EPOCH" = 315532800
        test "$SSL_CERT_FILE" = /no-cert-file.crt
      '';
    };

    certificates = phased "certificates" {
      nativeBuildInputs = [ pkgs.cacert ];
      buildPhase = "grep -q 'BEGIN CERTIFICATE' $SSL_CERT_FILE";
    };

    # programs load what is in the store, down to the C library, and so do those that are compiled
    stands-alone = runCommand "stands-alone" { nativeBuildInputs = [ pkgs.stdenv.cc ]; } ''
      printf '%s\n' '#include <math.h>' '#include <stdlib.h>' \
        'int main(int n, char **all) { return (int) cbrt(atof(all[1])); }' >cube.c
      gcc -o cube cube.c -lm
      root=0
      ./cube 27 || root=$?
      test $root = 3
      for file in ./cube ${pkgs.bash}/bin/bash ${pkgs.coreutils}/bin/ls ${pkgs.gnutar}/bin/tar ${pkgs.gnused}/bin/sed; do
        ${pkgs.glibc}/lib/ld-linux-x86-64.so.2 --list $file >loads
        grep -q "=> $NIX_STORE/.*libc.so.6" <(tr '\n' ' ' <loads)
        if grep -E 'not found|=> /' loads | grep -v "=> $NIX_STORE/"; then exit 1; fi
      done
      touch $out
    '';

    layered-image = runCommand "layered-image" { closure = pkgs.closureInfo { rootPaths = [ hello ]; }; } ''
      mkdir archive root
      tar xf ${
        image {
          tag = "1";
          compressor = "none";
          maxLayers = 2;
          config.Cmd = [ "hello" ];
          extraCommands = "mkdir -m 1777 tmp";
        }
      } -C archive
      grep -F '"hello:1"' archive/manifest.json
      # all store paths in one layer, the links above it
      test "$(ls archive/*/layer.tar | wc -l)" = 2
      for layer in archive/*/layer.tar; do
        test "$(tar --numeric-owner -tvf $layer | tr -s ' ' | cut -d ' ' -f 2 | sort -u)" = 0/0
        tar xpf $layer -C root
      done
      test "$(stat -c %a root/tmp)" = 1777
      test "$(readlink root/bin/hello)" = ${hello}/bin/hello
      for path in $(cat $closure/store-paths); do
        diff -r --no-dereference $path root$path
        grep -x $path $closure/registration
      done
      test "$(ls root/nix/store | wc -l)" = "$(wc -l <$closure/store-paths)"
      test "$(cat $closure/total-nar-size)" -gt 1000000
      touch $out
    '';

    versions = runCommand "versions" {
      nativeBuildInputs = [
        pkgs.nodejs_24
        pkgs.typescript
        pkgs.go_1_25
        pkgs.jre_headless
      ];
    } ''
      test "$(node --version)" = v${pkgs.nodejs_24.version}
      test "$(npm --version)" = ${pkgs.nodejs_24.npmVersion}
      test "$(tsc --version)" = "Version ${pkgs.typescript.version}"
      [[ "$(GOTOOLCHAIN=local go version)" == "go version go${pkgs.go_1_25.version} "* ]]
      java -version
      touch $out
    '';

    final-attributes =
      let
        package = stdenvNoCC.mkDerivation (finalAttrs: {
          pname = "final";
          version = "1";
          passthru.greeting = "I am ''${finalAttrs.pname} ''${finalAttrs.version}";
          dontUnpack = true;
          text = finalAttrs.version;
          installPhase = "echo $text >$out";
        });
        newer = package.overrideAttrs { version = "2"; };
        newest = newer.overrideAttrs (
          final: previous: {
            version = previous.version + ".1";
          }
        );
      in
      assert newer.name == "final-2" && newest.name == "final-2.1";
      runCommand "final-attributes" { } ''
        test "$(cat ${package})" = 1
        test "$(cat ${newest})" = 2.1
        touch $out
      '';
  };

  refused = {
    "does not carry out `__structuredAttrs`" = phased "x" { __structuredAttrs = true; };
    "x is marked as broken" = phased "x" { meta.broken = true; };
    "by its `meta.platforms`" = phased "x" { meta.platforms = [ "aarch64-linux" ]; };
    "has a license that is not free" = phased "x" { meta.license.free = false; };
    "knows the output `out` only" = phased "x" {
      outputs = [
        "out"
        "dev"
      ];
    };
    "given both in `env` and as an argument" = phased "x" {
      env.doCheck = "1";
      doCheck = true;
    };
    "`env.A` is a list" = phased "x" { env.A = [ ]; };
    "holds a int" = phased "x" { buildInputs = [ 1 ]; };
    "wants `name`, or `pname` and `version`" = stdenvNoCC.mkDerivation { pname = "x"; };
    "has no `no_such_package`" = pkgs.callPackage ({ no_such_package }: no_such_package) { };
    "it has cacert" = pkgs.callPackage ({ cacertt }: cacertt) { };
    "dangling symlinks" = phased "dangling" { installPhase = "ln -s $out/none $out"; };
    "unsupported interpreter directive" = phased "directive" {
      installPhase = ''
        printf '#!/usr/bin/env A=b sh\n' >$out
        chmod 755 $out
      '';
    };
    "do not know how to unpack" = stdenvNoCC.mkDerivation {
      name = "single-file";
      src = ./stdenv.nix;
      installPhase = "touch $out";
    };
    "unexpected argument 'fakeRootCommands'" = image { fakeRootCommands = "true"; };
    "`now` makes another image each time" = image { created = "now"; };
    "one layer is for the files" = image { maxLayers = 1; };
    "`Hello` is no name of an image" = image { name = "Hello"; };
    "the compressors gz and none, not zstd" = image { compressor = "zstd"; };
    "variable \$src or \$srcs should point to the source" = stdenvNoCC.mkDerivation {
      name = "no-source";
      installPhase = "touch $out";
    };
  };
  };
in
cases
// {
  # by the words of the error
  reasons = builtins.attrNames cases.refused;
}
