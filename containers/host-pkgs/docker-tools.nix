# `dockerTools`: images as nixpkgs makes them, in the format of `docker save`. An argument that is not named
# here is an evaluation error.
{
  lib,
  python3,
  runCommand,
  stdenvNoCC,
}:

{
  # One layer for each of the store paths that the most others need, one for all further ones, and on top
  # one with links to `contents` at their places and what `extraCommands` made there. What `config` names
  # comes along as well.
  buildLayeredImage =
    {
      name,
      # without it a hash of what is in the image
      tag ? null,
      contents ? [ ],
      config ? { },
      created ? "1970-01-01T00:00:01Z",
      mtime ? "1970-01-01T00:00:01Z",
      uid ? 0,
      gid ? 0,
      uname ? "root",
      gname ? "root",
      maxLayers ? 100,
      extraCommands ? "",
      compressor ? "gz",
    }:
    let
      contentsList = if builtins.isList contents then contents else [ contents ];
      architectures.x86_64-linux = "amd64";

      base = runCommand "${name}-conf.json" {
        json = builtins.toJSON {
          inherit config created;
          architecture = architectures.${stdenvNoCC.hostPlatform.system};
          os = "linux";
        };
        passAsFile = [ "json" ];
      } "cp $jsonPath $out";

      # a tar file, because no store path has modes such as 1777
      top = runCommand "${name}-customisation-layer" { inherit contentsList extraCommands; } ''
        mkdir root
        for path in $contentsList; do
          while IFS= read -r -d "" folder; do
            mkdir -p "root$folder"
          done < <(find $path/ -mindepth 1 -type d -printf '/%P\0')
          # the first to bring a file is heard
          while IFS= read -r -d "" file; do
            [ -e "root$file" ] || ln -s "$path$file" "root$file"
          done < <(find $path/ -mindepth 1 ! -type d -printf '/%P\0')
        done
        (cd root; eval "$extraCommands")
        mkdir $out
        tar --sort=name --format=gnu --owner=${toString uid} --group=${toString gid} --numeric-owner \
          --mtime='${mtime}' --hard-dereference -C root -cf $out/layer.tar .
      '';

      imageTag = if tag != null then tag else builtins.substring 0 32 (baseNameOf base.outPath);

      image = derivation {
        name = "${name}.tar${lib.optionalString (compressor == "gz") ".gz"}";
        inherit (stdenvNoCC.hostPlatform) system;
        __structuredAttrs = true;
        exportReferencesGraph.closure = contentsList ++ [ base ];
        inherit
          base
          compressor
          created
          gid
          gname
          imageTag
          maxLayers
          mtime
          top
          uid
          uname
          ;
        imageName = name;
        builder = "${python3}/bin/python3";
        args = [ ./layered-image.py ];
      };
    in
    if builtins.match "[a-z0-9._/-]+" name == null then
      throw "buildLayeredImage: `${name}` is no name of an image: lower-case letters, digits and ._/- only"
    else if created == "now" || mtime == "now" then
      throw "buildLayeredImage: `now` makes another image each time; host-pkgs does without it"
    else if
      !builtins.elem compressor [
        "gz"
        "none"
      ]
    then
      throw "buildLayeredImage: host-pkgs knows the compressors gz and none, not ${compressor}"
    else if maxLayers < 2 then
      throw "buildLayeredImage: one layer is for the files, so `maxLayers` can't be ${toString maxLayers}"
    else
      image
      // {
        inherit imageTag;
        imageName = name;
        meta = { inherit (image) name; };
      };
}
