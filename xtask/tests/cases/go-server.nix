# The sample's server, made wrong on purpose.
{ pkgs }:

let
  scope = import ../../../containers/authentik {
    inherit pkgs;
    pins = ../../../containers/authentik/sample/pins.json;
  };
  server = scope.authentik-server;

  # A test of the server's, of a program with this text in its place.
  judge =
    test: text:
    test.overrideAttrs {
      server = pkgs.runCommand "another-server" { inherit text; } ''
        mkdir -p $out/bin
        echo "$text" >$out/bin/authentik
        chmod +x $out/bin/authentik
      '';
    };
  # A whole of other parts: the server knows no more of them than their paths.
  whole = scope.overrideScope (
    _: previous:
    builtins.mapAttrs
      (pname: part: pkgs.runCommand "${pname}-${part.version}" { inherit (part) version; } "mkdir $out")
      { inherit (previous) authentik-django webui; }
  );
  ours = "${scope.lifecycle}/lifecycle/gunicorn.conf.py ${scope.webAssets}/dist/ ${scope.webAssets}/authentik";
in
{
  # The hook must not run in a module FOD, by whatever trick its hash is faked.
  modules-by-empty-hash = (server.overrideAttrs { vendorHash = ""; }).goModules;
  modules-by-fake-hash = (server.overrideAttrs { vendorHash = pkgs.lib.fakeHash; }).goModules;
  modules-by-override = server.goModules.overrideAttrs {
    outputHash = "";
    outputHashAlgo = "sha256";
  };

  # With the published client in place of ours the build has to fail, whatever a hook says.
  with-a-lying-hook = server.overrideAttrs {
    nativeBuildInputs = [ pkgs.go_1_25 ];
    postConfigure = ''
      echo apiGoVendorHook: vendor/goauthentik.io/api/v3 becomes ${scope.client-go}
      # the standard library is at hand as it is with its paths
      export GOFLAGS=''${GOFLAGS//-trimpath/}
      cp -r --no-preserve=mode ${scope.go-standard-library} $GOCACHE
    '';
  };

  # As buildGoModule leaves it with the paths of the whole, without the proof and what comes after.
  without-proof =
    (server.override {
      lifecycle = whole.authentik-django;
      webAssets = whole.webui;
    }).overrideAttrs
      { postBuild = ""; };
  of-the-whole = whole.assembled.server;

  # In a module without the client the hook has nothing to replace.
  nothing-to-replace = server.overrideAttrs {
    vendorHash = null;
    preConfigure = "rm -rf vendor";
  };

  # What the server's own tests have to refuse, and what to let pass.
  judged-good = judge server.tests.paths ours;
  judged-without-paths = judge server.tests.paths "${scope.lifecycle}/lifecycle/gunicorn.conf.py";
  judged-with-old-paths = judge server.tests.paths "${ours} ./web/dist";
  # the published client's functions are not ours, and neither are none
  judged-with-another-client = server.tests.api.overrideAttrs {
    client = ../../../containers/authentik/sample/packages/client-go;
  };
  judged-without-client = server.tests.api.overrideAttrs {
    server = pkgs.runCommand "one-as-authentik" { inherit (import ./go-module.nix { inherit pkgs; }) whole; } ''
      mkdir -p $out/bin
      cp $whole/bin/one $out/bin/authentik
    '';
  };
  # the note of a program that Go linked by itself
  judged-with-build-id = server.tests.build-id.overrideAttrs {
    server = pkgs.runCommand "linked-by-go" { } ''
      mkdir -p $out/bin
      printf 'ELF\4\0\0\0\123\0\0\0\4\0\0\0Go\0\0id' >$out/bin/authentik
    '';
  };
  judged-without-help = judge server.tests.help "#!${pkgs.runtimeShell}";
}
