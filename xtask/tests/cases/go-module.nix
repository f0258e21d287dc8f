# What a Go module may count on over host-pkgs, because it holds over nixpkgs: each attribute of `holds`
# builds only if it is so, each of `refused` must not evaluate or build, with its name in what is said.
#
# A proxy's files differ from proxy to proxy, in their `.info`: whoever builds `proxied` says what they hash to.
{
  pkgs,
  proxiedHash ? pkgs.lib.fakeHash,
}:

let
  inherit (pkgs)
    buildGoModule
    lib
    makeSetupHook
    runCommand
    ;

  module =
    changes:
    buildGoModule (
      {
        pname = "case";
        version = "1";
        src = ./go-module;
        modRoot = "nested";
        vendorHash = "sha256-noKPVwIwu9pwrniU4aIx868mDl9RQnBXcY5NlCh6KWI=";
        subPackages = [ "cmd/one" ];
        env.CGO_ENABLED = 0;
        doCheck = false;
        postPatch = "substituteInPlace nested/inside/inside.go --replace-fail @name@ inside";
      }
      // changes
    );

  whole = module {
    subPackages = null;
    # what doesn't compile, and another module
    excludedPackages = [
      "cmd/left-out"
      "local"
    ];
    ldflags = [
      "-s"
      "-X main.greeting=hello"
    ];
    tags = [
      "alpha"
      "beta"
    ];
    doCheck = true;
    checkFlags = [ "-skip=TestNotRun" ];
    # not for the modules: it would fail there
    preConfigure = ''test -n "$goModules"'';
  };

  proxied = module {
    proxyVendor = true;
    vendorHash = proxiedHash;
  };

  # the same source with the folder `vendor` checked in
  vendored = runCommand "vendored" { modules = whole.goModules; } ''
    cp -r ${./go-module} $out
    chmod -R u+w $out
    cp -r $modules $out/nested/vendor
  '';

  # a module that needs none
  alone = runCommand "alone" { } ''
    mkdir -p $out/nested/cmd/one $out/nested/inside
    echo 'module example.org/alone' >$out/nested/go.mod
    printf 'package main\n\nfunc main() { println("alone") }\n' >$out/nested/cmd/one/main.go
    echo 'package inside // @name@' >$out/nested/inside/inside.go
  '';

  # runs programs of a package; what they say has to be the last argument
  says =
    name: package: program: text:
    runCommand "${name}-says" { inherit package; } ''
      said=$($package/bin/${program} 2>&1)
      if [ "$said" != '${text}' ]; then
        echo "${program} said: $said" >&2
        exit 1
      fi
      touch $out
    '';

  hook = makeSetupHook {
    name = "case-hook";
    substitutions.word = "substituted";
  } ./go-module-hook.sh;

  cases = {
    holds = {
      flags-and-subfolders = says "flags" whole "one" "hello local inside false";
      tags = says "tags" whole "two" "two";

      nothing-else-is-installed = runCommand "nothing-else" { inherit whole; } ''
        test "$(echo $(ls $whole/bin))" = "one two"
        test "$(ls $whole)" = bin
        # -trimpath: no folder of the build or of the compiler
        if grep -aqE '/build/|/nix/store/[^ ]*-go-' $whole/bin/one; then exit 1; fi
        touch $out
      '';

      there-is-no-build-id = runCommand "build-id" { inherit whole; } ''
        ! LC_ALL=C grep -qaP '\x04\x00{3}.\x00{3}\x04\x00{3}Go\x00\x00' $whole/bin/one || exit 1
        touch $out
      '';

      from-a-proxy-s-files = says "proxied" proxied "one" "unset local inside false";
      the-files-of-a-proxy = runCommand "files-of-a-proxy" { modules = proxied.goModules; } ''
        test -e $modules/github.com/inconshreveable/mousetrap/@v/v1.1.0.zip
        test ! -e $modules/sumdb
        touch $out
      '';

      checked-in = says "checked-in" (module {
        src = vendored;
        vendorHash = null;
      }) "one" "unset local inside false";

      checked-in-but-not-used =
        let
          package = module {
            src = vendored;
            deleteVendor = true;
            inherit (whole) vendorHash;
            # a name of its own, so that the same output isn't there yet
            pname = "deleted";
          };
        in
        package.goModules;

      without-modules = says "alone" (module {
        src = alone;
        vendorHash = null;
      }) "one" "alone";

      # The modules take over a short list of attributes, and what overrideModAttrs says.
      what-the-modules-take-over =
        let
          package = module {
            patches = [ ];
            prePatch = "true";
            preBuild = "true";
            postBuild = "false";
            modPostBuild = "true";
            preConfigure = "false";
            preInstall = "false";
            ldflags = [ "-s" ];
            overrideModAttrs = previous: {
              postPatch = previous.postPatch + " # changed";
              passthru.kept = true;
            };
          };
          modules = package.goModules;
          newer = package.overrideAttrs { vendorHash = ""; };
        in
        assert modules.name == "case-1-go-modules" && modules.kept;
        assert modules.prePatch == "true" && modules.preBuild == "true" && modules.postBuild == "true";
        assert modules.postPatch == package.postPatch + " # changed" && modules.modRoot == "nested";
        assert !(modules ? preConfigure) && !(modules ? preInstall) && !(modules ? ldflags);
        assert newer.goModules.outputHash == "" && newer.goModules.drvPath != modules.drvPath;
        assert (module { vendorHash = null; }).goModules == "";
        assert package.passthru.go.version == pkgs.go.version;
        runCommand "what-the-modules-take-over" { } "touch $out";

      setup-hook = runCommand "setup-hook" { nativeBuildInputs = [ hook ]; } ''
        test "$(caseHook)" = "substituted, not @other@"
        touch $out
      '';
    };

    refused = {
      "takes no `CGO_ENABLED`: it belongs into `env`" = module { CGO_ENABLED = 0; };
      "takes no `vendorSha256`: give `vendorHash`" = module { vendorSha256 = "x"; };
      "takes no `buildFlags`" = module { buildFlags = [ "-v" ]; };
      "`-mod=` in `GOFLAGS` is set by buildGoModule" = module { GOFLAGS = [ "-mod=mod" ]; };
      "wants `vendorHash`" = buildGoModule {
        pname = "x";
        version = "1";
        src = ./go-module;
      };
      "no C compiler for cgo" = module { env = { }; };
      "does not carry out `__structuredAttrs`" = module { __structuredAttrs = true; };
      "the source has a folder vendor: set 'vendorHash = null;'" =
        (module {
          src = vendored;
          vendorHash = "";
        }).goModules;
      "there is no folder vendor: 'deleteVendor' has nothing to delete" =
        (module {
          deleteVendor = true;
          vendorHash = "";
        }).goModules;
      "the module has no dependencies: set 'vendorHash = null;'" =
        (module {
          src = alone;
          vendorHash = "";
        }).goModules;
      "undefined: doesNotCompile" = module {
        inherit (whole) vendorHash;
        subPackages = [ "cmd/left-out" ];
      };
    };
  };
in
cases
// {
  inherit whole proxied;
  # by the words of the error
  reasons = builtins.attrNames cases.refused;
}
