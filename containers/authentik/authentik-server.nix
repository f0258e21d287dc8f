# The server: it answers requests for the web UI, starts the Python part and passes the rest on to it.
{
  lib,
  api-go-vendor-hook,
  buildGo125Module,
  client-go,
  go_1_25,
  lifecycle,
  pins,
  pinsFile,
  runCommand,
  sources,
  webAssets,
}:

buildGo125Module (finalAttrs: {
  pname = "authentik-server";
  inherit (sources) version;

  src = sources.server;
  vendorHash =
    pins.go.vendorHash
      or (throw "${toString pinsFile} has no `go.vendorHash`, the hash of the server's Go modules");
  subPackages = [ "cmd/server" ];
  env.CGO_ENABLED = 0;

  nativeBuildInputs = [ api-go-vendor-hook ];

  # cmd/server has no tests, and Go would compile everything once more to say so
  doCheck = false;

  # Upstream finds its files in the working folder; here they have places of their own. These are attributes,
  # not parts of the text below: to list the components is not to want an interpreter.
  inherit lifecycle webAssets;
  postPatch = ''
    substituteInPlace internal/gounicorn/gounicorn.go \
      --replace-fail '"./lifecycle/' "\"$lifecycle/lifecycle/"
    substituteInPlace web/static.go \
      --replace-fail '"./web/dist/"' "\"$webAssets/dist/\""
    substituteInPlace internal/web/static.go \
      --replace-fail '"./web/dist"' "\"$webAssets/dist\"" \
      --replace-fail '"./web/authentik"' "\"$webAssets/authentik\""
  '';

  # The modules are those that upstream's go.mod names: no store path of ours may have a say in
  # their hash.
  overrideModAttrs = _: {
    postPatch = "";
    passthru.pin = {
      file = pinsFile;
      key = [
        "go"
        "vendorHash"
      ];
    };
  };

  # The proof that the API client compiled in is ours. Go's cache goes by the bytes that it compiled:
  # when the client is laid down anew, straight from the store, there must be nothing to compile again. What
  # was installed stays as it is: the flags that it was linked with are buildGoModule's.
  postBuild = ''
    api=vendor/goauthentik.io/api/v3
    if ! go list -deps ./cmd/server | grep -x goauthentik.io/api/v3 >/dev/null; then
      echo "the server does not use the API client" >&2
      exit 1
    fi
    chmod -R u+w vendor/goauthentik.io
    rm -r $api
    cp -r ${client-go} $api
    again=$(go build -v -p $NIX_BUILD_CORES -o /dev/null ./cmd/server 2>&1)
    if [ -n "$again" ]; then
      echo "the API client in the server is not ${client-go}; with that, Go compiled anew:" >&2
      echo "$again" >&2
      exit 1
    fi
    echo "the API client in the server is ${client-go}"
  '';

  postInstall = ''
    mv $out/bin/server $out/bin/authentik
  '';

  # The same from the program itself: its functions of the API package begin where those of our client do.
  passthru.tests.api =
    runCommand "authentik-server-api-${finalAttrs.version}"
      {
        server = finalAttrs.finalPackage;
        client = client-go;
        program = ./tests/authentik-server/api.go;
        nativeBuildInputs = [ go_1_25 ];
      }
      ''
        export HOME=$TMPDIR GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=0
        cp $program api.go
        go run api.go $server/bin/authentik $client
        touch $out
      '';

  # It is what buildGoModule linked, without a build ID: what Go links by itself has one in a note.
  passthru.tests.build-id =
    runCommand "authentik-server-build-id-${finalAttrs.version}" { server = finalAttrs.finalPackage; }
      ''
        note='\x04\x00{3}.\x00{3}\x04\x00{3}Go\x00\x00'
        if LC_ALL=C grep -qaP "$note" $server/bin/authentik; then
          echo "the server has a build ID: something else than buildGoModule linked it" >&2
          exit 1
        fi
        touch $out
      '';

  passthru.tests.help =
    runCommand "authentik-server-help-${finalAttrs.version}" { server = finalAttrs.finalPackage; }
      ''
        $server/bin/authentik --help >help.txt
        grep -x 'Start authentik instance' help.txt
        grep -x '  authentik \[command\]' help.txt
        $server/bin/authentik --version | grep -F 'authentik version ${finalAttrs.version}'
        touch $out
      '';

  # The paths stand in the program, and upstream's own nowhere.
  passthru.tests.paths =
    runCommand "authentik-server-paths-${finalAttrs.version}" { server = finalAttrs.finalPackage; }
      ''
        for path in ${lifecycle}/lifecycle/gunicorn.conf.py ${webAssets}/dist/ ${webAssets}/authentik; do
          grep -qaF $path $server/bin/authentik || { echo "the server does not hold $path" >&2; exit 1; }
        done
        for path in ./lifecycle/gunicorn ./web/dist ./web/authentik; do
          ! grep -qaF $path $server/bin/authentik || { echo "the server still holds $path" >&2; exit 1; }
        done
        test -e ${lifecycle}/lifecycle/gunicorn.conf.py
        test -d ${webAssets}/dist
        test -d ${webAssets}/authentik
        touch $out
      '';

  meta = {
    description = "Server of the identity provider authentik";
    homepage = "https://goauthentik.io/";
    license = lib.licenses.mit;
    mainProgram = "authentik";
  };
})
