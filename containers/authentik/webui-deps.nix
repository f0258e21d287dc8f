# The node_modules folders of the web UI, each at its place: what `npm ci` makes of the lock file.
#
# npm's version has a say in what it makes, so npm is pinned beside the hash. What `npm ci` leaves also
# differs between platforms: each has its hash.
{
  lib,
  stdenvNoCC,
  cacert,
  namedByInputs,
  nodejs_24,
  pinnedHash,
  pinsFile,
  sources,
}:

let
  inherit (stdenvNoCC.hostPlatform) system;
  key = [
    "web"
    "nodeModules"
    system
  ];
  pinned = pinnedHash {
    inherit key;
    component = "webui-deps";
    what = "the web UI's node_modules on ${system}";
  };
in
pinned.guarded (namedByInputs stdenvNoCC.mkDerivation {
  name = "webui-deps-${sources.version}";
  inherit (sources) version;

  nativeBuildInputs = [
    cacert
    nodejs_24
  ];

  lock = sources.web-lock;
  inherit (sources) npm;
  install = ./webui-deps.sh;
  explain = ./webui-deps-explain.mjs;
  pinKey = lib.concatStringsSep "." key;
  pinsName = baseNameOf (toString pinsFile);

  # over nixpkgs; over host-pkgs the settings come from the machine's npm
  impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "FETCH_NPMRC" ];
  outputHashMode = "recursive";
  outputHash = pinned.hash;

  dontUnpack = true;
  dontConfigure = true;
  dontBuild = true;
  installPhase = ''
    runHook preInstall
    export NODE_EXTRA_CA_CERTS=$SSL_CERT_FILE
    bash $install $lock $npm $out
    runHook postInstall
  '';
  # the trees stay as npm left them: links between the workspaces have their targets in the source
  dontFixup = true;

  passthru.pin = {
    file = pinsFile;
    inherit key;
  };

  meta = {
    description = "Node packages of authentik's web UI";
    homepage = "https://goauthentik.io/";
    license = lib.licenses.mit;
  };
})
