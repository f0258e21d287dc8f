# Caddy with plugins. They are compiled in: program/main.go imports them, program/go.mod and go.sum say
# which versions of all modules, `vendorHash` what Go makes of that.
{
  lib,
  buildGo125Module,
  pins,
  pinsFile,
  python3,
  runCommand,
}:

buildGo125Module (finalAttrs: {
  pname = "caddy";
  inherit (pins) version;

  src = builtins.path {
    name = "caddy-source";
    path = ./program;
    # what macOS leaves in folders
    filter = path: _: builtins.match "\\.DS_Store|\\._.*" (baseNameOf path) == null;
  };
  vendorHash =
    pins.go.vendorHash
      or (throw "${toString pinsFile} has no `go.vendorHash`, the hash of Caddy's Go modules");

  env.CGO_ENABLED = 0;
  ldflags = [
    "-s"
    "-w"
  ];
  # databases that Caddy's module for an ACME server could use and does not, as in Caddy's own releases
  tags = [
    "nobadger"
    "nomysql"
    "nopgx"
  ];

  overrideModAttrs = _: {
    passthru.pin = {
      file = pinsFile;
      key = [
        "go"
        "vendorHash"
      ];
    };
  };

  # The program is of the pinned version, and the plugins are among its modules.
  passthru.tests.modules =
    runCommand "caddy-modules-${finalAttrs.version}" { caddy = finalAttrs.finalPackage; }
      ''
        export HOME=$TMPDIR
        version=$($caddy/bin/caddy version)
        if [ "''${version%% *}" != v${finalAttrs.version} ]; then
          echo "this is Caddy $version, and pins.json says ${finalAttrs.version}: go.mod says which is built" >&2
          exit 1
        fi
        $caddy/bin/caddy list-modules --skip-standard >modules
        for module in dns.providers.gandi layer4 layer4.handlers.proxy; do
          grep -x $module modules || { echo "the program has no module $module" >&2; exit 1; }
        done
        touch $out
      '';

  # A wildcard certificate by DNS, with the token in a file: good as it is, and with another provider not.
  passthru.tests.configuration =
    runCommand "caddy-configuration-${finalAttrs.version}"
      {
        caddy = finalAttrs.finalPackage;
        configuration = ./tests/Caddyfile;
      }
      ''
        export HOME=$TMPDIR
        (umask 077 && echo -n of-no-use >token)
        substitute $configuration Caddyfile --replace-fail @token@ $PWD/token
        $caddy/bin/caddy validate --config Caddyfile --adapter caddyfile 2>said || { cat said >&2; exit 1; }
        $caddy/bin/caddy adapt --config Caddyfile --adapter caddyfile >adapted
        grep -F '"provider":{"bearer_token":"{file.'$PWD'/token}","name":"gandi"}' adapted
        if grep -F of-no-use adapted; then
          echo "the token stands in the configuration" >&2
          exit 1
        fi
        sed 's/dns gandi/dns gandy/' Caddyfile >wrong
        if $caddy/bin/caddy validate --config wrong --adapter caddyfile 2>said; then
          echo "a provider that nobody has was accepted" >&2
          exit 1
        fi
        grep -F 'module not registered: dns.providers.gandy' said
        touch $out
      '';

  # It serves a file, and passes TCP on.
  passthru.tests.serves =
    runCommand "caddy-serves-${finalAttrs.version}"
      {
        caddy = finalAttrs.finalPackage;
        program = ./tests/serves.py;
        nativeBuildInputs = [ python3 ];
      }
      ''
        export HOME=$TMPDIR
        python3 $program $caddy/bin/caddy
        touch $out
      '';

  meta = {
    description = "Reverse proxy, with the DNS provider Gandi and TCP";
    homepage = "https://caddyserver.com/";
    license = lib.licenses.asl20;
    mainProgram = "caddy";
  };
})
