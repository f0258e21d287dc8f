# How the components are wired: a scope in which each finds the others, the pins and the package set by
# the names of its arguments.
{
  lib,
  newScope,
  pinnedTools,
  pinsFile,
}:

lib.makeScope newScope (
  self:
  let
    inherit (self) callPackage;
  in
  {
    inherit pinsFile;
    pins = lib.importJSON pinsFile;

    caddy = callPackage ./caddy.nix { };

    # The fixed-output derivations whose hash stands in a pins file. Each says where in `pin`:
    # { file; key = the names that lead to the hash; }
    pinned = [ self.caddy.goModules ] ++ pinnedTools;
  }
)
