# The TypeScript client of the API, generated from schema.yml and compiled.
{
  lib,
  stdenvNoCC,
  nodejs_24,
  openapi-generator-cli,
  runCommand,
  schema-json,
  sources,
  typescript,
}:

stdenvNoCC.mkDerivation (finalAttrs: {
  pname = "client-ts";
  inherit (sources) version;

  dontUnpack = true;
  strictDeps = true;
  nativeBuildInputs = [
    nodejs_24
    openapi-generator-cli
    typescript
  ];

  inherit (sources) schema;
  templates = sources.ts-templates;
  options = ./client-ts.json;

  # a library of text: nothing in it may hold on to what made it
  allowedReferences = [ ];

  preBuildPhases = [ "generatePhase" ];
  generatePhase = ''
    runHook preGenerate
    cp -r $templates templates
    openapi-generator-cli generate \
      --generator-name typescript-fetch \
      --input-spec $schema \
      --config $options \
      --additional-properties=npmVersion=$version \
      --git-user-id goauthentik \
      --git-repo-id authentik \
      --output client
    cd client
    runHook postGenerate
  '';

  buildPhase = ''
    runHook preBuild
    HOME=$TMPDIR npm_config_progress=false npm run build
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    mkdir $out
    cp -r dist src package.json README.md $out
    # the compiler's notes for its next run; they name the compiler's store path
    find $out -name '*.tsbuildinfo' -delete
    runHook postInstall
  '';

  # A program that uses the client has to type-check, and one that misuses it must not.
  passthru.tests.types =
    runCommand "client-ts-types-${finalAttrs.version}"
      {
        client = finalAttrs.finalPackage;
        program = ./tests/client-ts;
        schema = schema-json;
        nativeBuildInputs = [
          nodejs_24
          typescript
        ];
      }
      ''
        cp -r $program/. .
        mkdir -p node_modules/@goauthentik
        ln -s $client node_modules/@goauthentik/api
        node schema-types.mjs $schema >schema-types.ts
        tsc -p tsconfig.json
        tsc -p tsconfig.wrong.json >wrong.txt || true
        if [ "$(grep -c 'error TS' wrong.txt)" != 1 ] || ! grep -q '^types-wrong.ts.*error TS2322' wrong.txt; then
          echo "tsc has to refuse types-wrong.ts for its wrong type, and for nothing else; it said:" >&2
          cat wrong.txt >&2
          exit 1
        fi
        touch $out
      '';

  # Requests made with the client against a stub server have the right URL, headers and body.
  passthru.tests.request =
    runCommand "client-ts-request-${finalAttrs.version}"
      {
        client = finalAttrs.finalPackage;
        program = ./tests/client-ts/request.mjs;
        schema = schema-json;
        nativeBuildInputs = [ nodejs_24 ];
      }
      ''
        mkdir -p node_modules/@goauthentik
        ln -s $client node_modules/@goauthentik/api
        cp $program request.mjs
        cp $schema openapi.json
        node request.mjs
        touch $out
      '';

  meta = {
    description = "TypeScript client of the authentik API";
    homepage = "https://goauthentik.io/";
    license = lib.licenses.mit;
    inherit (nodejs_24.meta) platforms;
  };
})
