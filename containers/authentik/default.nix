# The one impure entry: the pinned nixpkgs goes in, the scope of components comes out, the container image
# among them: `nix-build containers/authentik -A image`.
{
  system ? builtins.currentSystem,
  # A package set with nixpkgs' interface; without it the pinned nixpkgs.
  pkgs ? import nixpkgs {
    inherit system;
    config = { };
    overlays = [ ];
  },
  # The pins file, and a working tree of authentik to build from in place of the pinned sources.
  pins ? ./pins.json,
  source ? null,
  # Whether a hash that the pins lack is a fake one, not an error: for `--write-pins`, which finds it.
  findHashes ? false,
  # The pins' own, else the release's: a sample has none.
  nixpkgs ?
    let
      read = file: builtins.fromJSON (builtins.readFile file);
      pin = (read pins).nixpkgs or (read ./pins.json).nixpkgs;
    in
    builtins.fetchTarball {
      url = builtins.replaceStrings [ "{rev}" ] [ pin.rev ] pin.url;
      sha256 = pin.hash;
    },
}:

let
  # A path from the command line (--argstr) is a string.
  toPath = value: if builtins.isString value then /. + value else value;
in
pkgs.callPackage ./scope.nix {
  inherit findHashes;
  # by which the pins tell package sets apart; nixpkgs has no name of its own
  packageSet = pkgs.packageSet or "nixpkgs";
  pinsFile = toPath pins;
  source = toPath source;
  # what the package set itself pins; nixpkgs says nothing of the kind
  pinnedTools = pkgs.pinned or [ ];
}
