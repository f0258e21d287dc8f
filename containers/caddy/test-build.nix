# The harness: the components by name, for `cargo xtask test-build`, nix-build -A and whatever else
# walks attribute sets. Nothing is built by listing them. Its arguments, all with defaults, are those
# of default.nix: `pkgs`, `pins`.
{ ... }@args:

let
  scope = import ./. args;
in
{
  recurseForDerivations = true;

  inherit (scope) caddy;

  # no component: which derivation takes its hash from which pin, for `--write-pins`
  inherit (scope) pinned;
}
