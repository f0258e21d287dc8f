# All components of all containers, for nix-build, nix-env and whatever else walks attribute sets:
#
#   nix-build -A authentik.client-ts
#   nix-env -f . -qaP
#
# What it takes is that of a container's default.nix: `system`, and `nixpkgs` or `pkgs`.
{ ... }@args:

let
  folder = ./containers;
  names = builtins.filter (name: builtins.pathExists (folder + "/${name}/test-build.nix")) (
    builtins.attrNames (builtins.readDir folder)
  );
in
builtins.listToAttrs (
  map (name: {
    inherit name;
    value = import (folder + "/${name}/test-build.nix") args;
  }) names
)
// {
  recurseForDerivations = true;
}
