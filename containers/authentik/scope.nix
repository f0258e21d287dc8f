# How the components are wired: a scope in which each finds the others, the pinned sources and the
# package set by the names of its arguments.
{
  lib,
  findHashes,
  newScope,
  packageSet,
  pinnedTools,
  pinsFile,
  source,
}:

lib.makeScope newScope (
  self:
  let
    inherit (self) callPackage;
  in
  {
    inherit findHashes packageSet pinsFile;
    pins = lib.importJSON pinsFile;

    fetchPlaces = callPackage ./fetch-places.nix { };
    sources = callPackage ./sources.nix { inherit source; };

    pinnedHash = callPackage ./pinned-hash.nix { };
    namedByInputs = callPackage ./named-by-inputs.nix { };

    build-tools = callPackage ./build-tools.nix { };
    openapi-generator-cli = callPackage ./openapi-generator-cli.nix { };

    schema-json = callPackage ./schema-json.nix { };
    go-standard-library = callPackage ./go-standard-library.nix { };
    client-go = callPackage ./client-go.nix { };
    client-ts = callPackage ./client-ts.nix { };

    api-go-vendor-hook = callPackage ./api-go-vendor-hook.nix { };
    lifecycle = callPackage ./lifecycle.nix { };
    webAssets = callPackage ./web-assets.nix { };
    # the interpreter of the backend; the sample runs on the distribution's
    python =
      if self.pins.python.package or "python314" == "python3" then
        callPackage ({ python3 }: python3) { }
      else
        callPackage ({ python314 }: python314) { };
    python-deps = callPackage ./python-deps.nix { };
    authentik-django = callPackage ./authentik-django.nix { };

    webui-deps = callPackage ./webui-deps.nix { };
    webui = callPackage ./webui.nix { };
    authentik-server = callPackage ./authentik-server.nix { };

    assembled = callPackage ./assembled.nix { };
    image = callPackage ./image.nix { };
    service = callPackage ./service.nix { };

    # The fixed-output derivations whose hash stands in a pins file. Each says where in `pin`:
    # { file; key = the names that lead to the hash; }
    pinned =
      builtins.filter (value: value ? pin) (
        map (name: self.sources.${name}) (
          builtins.attrNames (removeAttrs self.pins.sources self.sources.from-tree)
        )
        ++ lib.optionals (self.pins ? go) [ self.authentik-server.goModules ]
        ++ lib.optionals (self.pins ? web) [ self.webui-deps ]
        ++ lib.optionals (self.pins ? python) [ self.python-deps ]
        ++ [ self.build-tools.cargoDeps ]
      )
      ++ pinnedTools;
  }
)
