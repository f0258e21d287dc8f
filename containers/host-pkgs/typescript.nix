# The TypeScript compiler, from npm.
{
  lib,
  stdenvNoCC,
  nodejs_24,
  fetchNpmPackage,
}:

let
  tarball = fetchNpmPackage "typescript";
in
stdenvNoCC.mkDerivation {
  pname = "typescript";
  inherit (tarball) version;

  dontUnpack = true;
  buildInputs = [ nodejs_24 ];

  installPhase = ''
    runHook preInstall
    mkdir -p $out/lib/node_modules/typescript $out/bin
    tar xf ${tarball} --strip-components=1 -C $out/lib/node_modules/typescript
    chmod +x $out/lib/node_modules/typescript/bin/*
    ln -s ../lib/node_modules/typescript/bin/tsc ../lib/node_modules/typescript/bin/tsserver $out/bin
    runHook postInstall
  '';

  meta = {
    description = "Superset of JavaScript that compiles to clean JavaScript output";
    homepage = "https://www.typescriptlang.org/";
    license = lib.licenses.asl20;
    mainProgram = "tsc";
    platforms = [ "x86_64-linux" ];
  };
}
