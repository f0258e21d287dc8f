# The harness: the components by name, for `cargo xtask test-build`, nix-build -A and whatever else
# walks attribute sets. Nothing is built by listing them. Its arguments, all with defaults, are those
# of default.nix: `pkgs`, `pins`, `source`.
{ ... }@args:

let
  scope = import ./. args;
in
{
  recurseForDerivations = true;

  inherit (scope)
    assembled
    authentik-django
    authentik-server
    build-tools
    client-go
    client-ts
    image
    python-deps
    service
    webui
    webui-deps
    ;

  # no component: which derivation takes its hash from which pin, for `--write-pins`
  inherit (scope) pinned;
}
