# The web UI: bundled from the source, with the TypeScript client that was generated from the schema.
# Output: `dist/`, what the server serves as /static/dist, and `authentik/`, icons that are in no bundle.
{
  lib,
  stdenvNoCC,
  build-tools,
  client-ts,
  nodejs_24,
  runCommand,
  sources,
  webui-deps,
}:

stdenvNoCC.mkDerivation (finalAttrs: {
  pname = "webui";
  inherit (sources) version;

  src = sources.web;

  strictDeps = true;
  nativeBuildInputs = [
    build-tools
    nodejs_24
  ];

  # text and pictures: nothing in it may hold on to what made it, least of all to the 1 GB of webui-deps
  allowedReferences = [ ];

  env = {
    NODE_ENV = "production";
    NODE_OPTIONS = "--openssl-legacy-provider";
    # wireit would copy what it builds, for a next run that never comes
    WIREIT_CACHE = "none";
    NO_COLOR = "1";
  };

  # The version comes from a package.json outside of the web UI, which a bundle has no business with.
  postPatch = ''
    build-tools patch-version web/packages/core/version/node.js ${finalAttrs.version}
  '';

  configurePhase = ''
    runHook preConfigure
    export HOME=$TMPDIR npm_config_progress=false npm_config_update_notifier=false npm_config_audit=false
    cd web
    cp -r ${webui-deps}/. .
    chmod -R u+w .
    # programs are run through links, what they point to is what has a shebang
    find . -path '*/node_modules/.bin/*' -type l -exec realpath -ze '{}' ';' | sort -zu >../tools
    mapfile -d "" tools <../tools
    patchShebangs "''${tools[@]}" >/dev/null
    # our client in the place of the published one, wherever that was installed
    find . -path '*/node_modules/@goauthentik/api' -prune -exec rm -r '{}' +
    mkdir -p node_modules/@goauthentik
    cp -r ${client-ts} node_modules/@goauthentik/api
    runHook postConfigure
  '';

  buildPhase = ''
    runHook preBuild
    npm run build
    npm run build:sfe
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    mkdir $out
    cp -r dist authentik $out
    runHook postInstall
  '';

  # nothing in it is run here
  dontPatchShebangs = true;

  # What the server's pages load exists, and so does what that loads in turn.
  passthru.tests.assets =
    runCommand "webui-assets-${finalAttrs.version}"
      {
        webui = finalAttrs.finalPackage;
        templates = sources.web-templates;
        program = ./tests/webui/assets.mjs;
        nativeBuildInputs = [ nodejs_24 ];
      }
      ''
        node $program $webui $templates ${finalAttrs.version}
        touch $out
      '';

  # The client in the bundles is ours: their source maps hold its files, byte for byte.
  passthru.tests.client =
    runCommand "webui-client-${finalAttrs.version}"
      {
        webui = finalAttrs.finalPackage;
        client = client-ts;
        program = ./tests/webui/client.mjs;
        nativeBuildInputs = [ nodejs_24 ];
      }
      ''
        node $program $webui $client
        touch $out
      '';

  # The version is in the names of the entry points, and in what they say.
  passthru.tests.version =
    runCommand "webui-version-${finalAttrs.version}" { webui = finalAttrs.finalPackage; }
      ''
        test -e $webui/dist/poly-${finalAttrs.version}.js
        grep -rqF --include='*.js' '${finalAttrs.version}' $webui/dist
        touch $out
      '';

  meta = {
    description = "Web UI of the identity provider authentik";
    homepage = "https://goauthentik.io/";
    license = lib.licenses.mit;
  };
})
