# The components for users of flakes: over nixpkgs alone, for host-pkgs looks at the machine. What is built is
# the release of pins.json; another one, a working tree, or another machine: `cargo xtask`.
{
  description = "authentik and Caddy with plugins, built from source";

  # The revision and hash in flake.lock are those of containers/*/pins.json, which a test sees to.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      eachSystem = f: lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: f nixpkgs.legacyPackages.${system});

      # the components of all containers, by name, over a package set
      componentsOf =
        pkgs:
        lib.filterAttrs (_: lib.isDerivation) (
          import ./containers/authentik/test-build.nix { inherit pkgs; }
          // import ./containers/caddy/test-build.nix { inherit pkgs; }
        );

      xtaskOf =
        { pkg-config, rustPlatform }:
        rustPlatform.buildRustPackage {
          pname = "xtask";
          inherit ((lib.importTOML ./Cargo.toml).workspace.package) version;
          src = lib.sourceByRegex ./. [
            "Cargo\\.(lock|toml)"
            "xtask(/.*)?"
          ];
          cargoLock.lockFile = ./Cargo.lock;
          cargoBuildFlags = [ "--package=xtask" ];
          # the tests want Nix itself
          doCheck = false;
          meta = {
            description = "Builds, tests and runs services from source";
            license = lib.licenses.mit;
            mainProgram = "xtask";
          };
        };
    in
    {
      packages = eachSystem componentsOf;

      checks = eachSystem (
        pkgs:
        lib.concatMapAttrs (
          name: component:
          lib.mapAttrs' (test: lib.nameValuePair "${name}-${test}") (
            lib.filterAttrs (_: lib.isDerivation) (component.tests or { })
          )
        ) (componentsOf pkgs)
      );

      # to be run inside of a clone
      apps = eachSystem (pkgs: {
        xtask = {
          type = "app";
          program = lib.getExe (pkgs.callPackage xtaskOf { });
          meta.description = "Builds, tests and runs services from source";
        };
      });

      # `pkgs.fromSource.client-ts`, built over that very `pkgs`
      overlays.default = final: _: { fromSource = componentsOf final; };

      # what CONTRIBUTING.md wants; the crates need a C compiler
      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.cargo
            pkgs.clippy
            pkgs.go_1_25
            pkgs.nixfmt
            pkgs.nodejs_24
            pkgs.prek
            pkgs.rustc
            pkgs.rustfmt
            pkgs.uv
          ];
        };
      });
    };
}
