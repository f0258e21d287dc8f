# What the image holds, for scanners and auditors: a list in CycloneDX 1.6, `nix-build -A image.sbom`. It has the
# store paths, Debian's packages (over host-pkgs), those of Python, Go and npm, and where pinned sources come from.
{
  lib,
  assembled,
  authentik-django,
  closureInfo,
  go_1_25,
  packageSet,
  pinsFile,
  runCommand,
  sources,
  webui,

  # what is in the image, with what that needs
  contents,
}:

runCommand "authentik-sbom-${assembled.version}"
  {
    inherit (assembled) version server;
    inherit packageSet webui;
    closure = closureInfo { rootPaths = contents; };
    django = authentik-django;
    lock = sources.web-lock;
    # by content, not by the folder that it is in
    pins = builtins.path {
      name = "pins.json";
      path = pinsFile;
    };
    program = ./sbom.py;
    nativeBuildInputs = [ go_1_25 ];
    meta = {
      description = "What the container image of authentik holds, as CycloneDX";
      homepage = "https://goauthentik.io/";
      license = lib.licenses.mit;
    };
  }
  ''
    export HOME=$TMPDIR GOTOOLCHAIN=local
    go version -m $server/bin/authentik >go.txt
    cat >plan.json <<EOF
    {
      "name": "authentik", "version": "$version", "out": "$out", "closure": "$closure", "packageSet": "$packageSet",
      "server": "$server/bin/authentik", "serverPath": "$server", "go": "go.txt", "generated": "goauthentik.io/api/v3",
      "web": "$lock/package-lock.json", "webPath": "$webui", "pins": "$pins"
    }
    EOF
    $django/bin/python3 $program plan.json
  ''
