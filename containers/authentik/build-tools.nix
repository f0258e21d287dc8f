# What the components call while they build: `build-tools strip-refs`, `build-tools patch-version`. The
# same crate is part of xtask; its own Cargo.lock holds what the workspace's holds of it.
{ lib, rustPlatform }:

let
  crate = ../../xtask/build-tools;
  manifest = lib.importTOML (crate + "/Cargo.toml");
in
rustPlatform.buildRustPackage {
  pname = manifest.package.name;
  inherit (manifest.package) version;

  src = builtins.path {
    name = "build-tools-source";
    path = crate;
    filter =
      path: _:
      let
        root = builtins.stringLength (toString crate) + 1;
        below = builtins.substring root (builtins.stringLength path - root) path;
      in
      builtins.match "Cargo\\.(toml|lock)|src(/.*)?" below != null
      # what macOS leaves in folders
      && builtins.match "\\.DS_Store|\\._.*" (baseNameOf path) == null;
  };
  cargoLock.lockFile = crate + "/Cargo.lock";

  # the tests are the workspace's, with tools that are not here
  doCheck = false;

  meta = {
    inherit (manifest.package) description;
    license = lib.licenses.mit;
    mainProgram = "build-tools";
  };
}
