# The pinned sources by name, and `version`.
#
# pins.json names for each its places and its hash. The hash decides what is built; which place it
# came from has no influence on anything. With a working tree (`source`) the sources that lie in it
# are taken from there as they are.
{
  lib,
  fetchPlaces,
  pins,
  pinsFile,
  source,
}:

let
  version = if source == null then pins.version else (lib.importJSON (source + "/package.json")).version;

  fromTree = lib.optionalAttrs (source != null) {
    authentik = builtins.path {
      name = "authentik-source";
      path = source;
      filter =
        path: _:
        !(builtins.elem (baseNameOf path) [
          ".git"
          "node_modules"
        ]);
    };
    schema = builtins.path {
      name = "schema.yml";
      path = source + "/schema.yml";
    };
    ts-templates = builtins.path {
      name = "ts-templates";
      path = source + "/scripts/api/ts-templates";
    };
  };

  # A file beside the pins, which has to be what its pin says.
  fromFile =
    name: pin: file:
    let
      path = dirOf pinsFile + "/${file}";
      flat = pin.mode or "recursive" == "flat";
      given = builtins.path {
        inherit name path;
        recursive = !flat;
      };
      pinned = derivation {
        inherit name;
        system = "none";
        builder = "none";
        outputHash = pin.hash;
        outputHashMode = if flat then "flat" else "recursive";
      };
    in
    if !builtins.pathExists path then
      throw "${toString pinsFile}: the pin `${name}` names the file ${file}, which does not exist"
    else if builtins.unsafeDiscardStringContext given == builtins.unsafeDiscardStringContext pinned.outPath then
      given
    else
      throw "${toString pinsFile}: ${file} is not what the pin `${name}` says (${pin.hash}); its own hash: cargo xtask hash ${lib.optionalString flat "--flat "}${toString path}";

  fromPin =
    name: pin:
    let
      place = builtins.head pin.places;
    in
    if place ? file then
      fromFile name pin place.file
    else
      fetchPlaces {
        inherit name pin;
        version = pin.version or pins.version;
        inherit pinsFile;
      };
in
builtins.mapAttrs fromPin pins.sources // fromTree // { inherit version; }
