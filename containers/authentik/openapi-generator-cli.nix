# The generator of the API clients, at exactly the pinned version: another one writes other clients.
{
  lib,
  stdenvNoCC,
  jre_headless,
  pins,
  runtimeShell,
  sources,
}:

stdenvNoCC.mkDerivation {
  pname = "openapi-generator-cli";
  inherit (pins.sources.openapi-generator) version;

  src = sources.openapi-generator;
  dontUnpack = true;
  strictDeps = true;

  # A short-lived process on few cores: one collector thread and room for most of what it allocates
  # cut the time on the real schema by a third.
  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin $out/share/java
    cp $src $out/share/java/openapi-generator-cli.jar
    cat >$out/bin/openapi-generator-cli <<EOF
    #!${runtimeShell}
    exec ${jre_headless}/bin/java -XX:+UseSerialGC -Xms1g -Xmn700m -jar $out/share/java/openapi-generator-cli.jar "\$@"
    EOF
    chmod +x $out/bin/openapi-generator-cli
    runHook postInstall
  '';

  meta = {
    description = "Generator of API clients from OpenAPI documents";
    homepage = "https://openapi-generator.tech/";
    license = lib.licenses.asl20;
    mainProgram = "openapi-generator-cli";
    inherit (jre_headless.meta) platforms;
  };
}
