# The Go client of the API, generated from schema.yml. It is a source tree: what uses it compiles it.
{
  lib,
  stdenvNoCC,
  go-standard-library,
  go_1_25,
  openapi-generator-cli,
  runCommand,
  schema-json,
  sources,
}:

stdenvNoCC.mkDerivation (finalAttrs: {
  pname = "client-go";
  inherit (sources) version;

  dontUnpack = true;
  strictDeps = true;
  nativeBuildInputs = [
    go_1_25
    openapi-generator-cli
  ];

  inherit (sources) schema;
  moduleFiles = sources.client-go;
  options = ./client-go.json;

  # a source tree: nothing in it may hold on to what made it
  allowedReferences = [ ];

  preBuildPhases = [ "generatePhase" ];
  generatePhase = ''
    runHook preGenerate
    openapi-generator-cli generate \
      --generator-name go \
      --input-spec $schema \
      --config $options \
      --output client
    cd client
    runHook postGenerate
  '';

  # The module's go.mod and go.sum are upstream's, not what the generator makes up; its tests are
  # empty shells and its two scripts publish things.
  buildPhase = ''
    runHook preBuild
    rm -r test
    rm .travis.yml git_push.sh
    install -m 644 $moduleFiles/go.mod $moduleFiles/go.sum .
    gofmt -w .
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    cp -r . $out
    runHook postInstall
  '';

  # The client compiles with the standard library alone, the vet finds nothing, and requests against a
  # stub server are right.
  passthru.tests.go =
    runCommand "client-go-test-${finalAttrs.version}"
      {
        client = finalAttrs.finalPackage;
        program = ./tests/client-go;
        schema = schema-json;
        standard = go-standard-library;
        nativeBuildInputs = [ go_1_25 ];
      }
      ''
        export HOME=$TMPDIR GOPATH=$TMPDIR/go GOPROXY=off GOSUMDB=off GOTOOLCHAIN=local CGO_ENABLED=0
        export GOCACHE=$TMPDIR/cache
        cp -r $standard $GOCACHE
        cp -r $client client
        chmod -R u+w client $GOCACHE
        cd client
        go build ./...
        go vet ./...
        cp $program/*_test.go .
        cp $schema openapi.json
        go test .
        touch $out
      '';

  meta = {
    description = "Go client of the authentik API";
    homepage = "https://goauthentik.io/";
    license = lib.licenses.mit;
    inherit (go_1_25.meta) platforms;
  };
})
