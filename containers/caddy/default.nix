# The one impure entry: the pinned nixpkgs goes in, the scope of components comes out.
{
  system ? builtins.currentSystem,
  # A package set with nixpkgs' interface; without it the pinned nixpkgs.
  pkgs ? import nixpkgs {
    inherit system;
    config = { };
    overlays = [ ];
  },
  # The pins file.
  pins ? ./pins.json,
  nixpkgs ?
    let
      pin = (builtins.fromJSON (builtins.readFile pins)).nixpkgs;
    in
    builtins.fetchTarball {
      url = builtins.replaceStrings [ "{rev}" ] [ pin.rev ] pin.url;
      sha256 = pin.hash;
    },
}:

pkgs.callPackage ./scope.nix {
  # a path from the command line (--argstr) is a string
  pinsFile = /. + pins;
  # what the package set itself pins; nixpkgs says nothing of the kind
  pinnedTools = pkgs.pinned or [ ];
}
