# The fixed output of a module's dependencies with a hash that nothing has, so that Nix tells the true
# one; or the pinned source. `nix-instantiate` gets it, with paths as text for describe.nix's reason.
{
  testBuild,
  # which of the attributes below
  what,
  hostPkgs ? "",
  source ? "",
  pins ? "",
  # of `module`: a folder, and arguments of buildGoModule
  module ? "",
  modRoot ? ".",
  proxyVendor ? "",
  deleteVendor ? "",
}:
let
  path = text: /. + text;
  given = name: text: if text == "" then { } else { ${name} = path text; };
  arguments =
    (if hostPkgs == "" then { } else { pkgs = import (path hostPkgs) { }; })
    // given "source" source
    // given "pins" pins;

  harness = import (path testBuild) arguments;
  key = [
    "go"
    "vendorHash"
  ];
  ours = builtins.filter (derivation: derivation.pin.key == key) (harness.pinned or [ ]);
  goModules =
    if ours == [ ] then
      throw "${testBuild}: no derivation in `pinned` takes its hash from `go.vendorHash` in the pins"
    else
      builtins.head ours;
  scope = import (path (dirOf testBuild)) arguments;
  vendorHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
in
{
  source = goModules.src;

  goModules = goModules.overrideAttrs (_: {
    outputHash = vendorHash;
    outputHashAlgo = null;
  });

  module =
    (scope.callPackage ({ buildGo125Module }: buildGo125Module) { } {
      pname = "module";
      version = "0";
      src = builtins.path {
        name = "source";
        path = path module;
        filter =
          path: _:
          !(builtins.elem (baseNameOf path) [
            ".git"
            "node_modules"
          ]);
      };
      inherit modRoot vendorHash;
      proxyVendor = proxyVendor != "";
      deleteVendor = deleteVendor != "";
      env.CGO_ENABLED = 0;
    }).goModules;
}
.${what}
