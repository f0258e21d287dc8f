# Calls of the library functions that host-pkgs has, by name. lib.json beside this file holds what
# nixpkgs' own library gives for them: the same evaluation with `lib` from a copy of nixpkgs (or of
# nix-community/nixpkgs.lib):
#
#   nix-instantiate --eval --strict --json xtask/tests/cases/lib.nix --arg lib 'import PATH/lib'
{ lib }:

let
  set = {
    a = 1;
    b = 2;
    c = null;
  };
  scope = lib.makeScope (extra: lib.callPackageWith ({ base = 1; } // extra)) (self: {
    one = self.callPackage ({ base }: { value = base; }) { };
    two = self.callPackage ({ one, two ? 2 }: { value = one.value + two; }) { two = 10; };
    three = self.newScope { base = 100; } ({ base, one }: { value = base + one.value; }) { };
  });
  changed = scope.overrideScope (
    final: previous: {
      one = {
        value = previous.one.value + 41;
      };
    }
  );
  overridable = lib.makeOverridable ({ x, y ? 1 }: { sum = x + y; }) { x = 1; };
  package = {
    type = "derivation";
    name = "p-1";
    outPath = "/p";
  };
in
{
  any = [ (lib.any (x: x > 1) [ 1 2 ]) (lib.any (x: x > 2) [ 1 2 ]) (lib.any (_: true) [ ]) ];
  callPackageWith = (lib.callPackageWith { a = 1; b = 2; } ({ a, b ? 5, c ? 7 }: { inherit a b c; }) { b = 3; }).b;
  callPackageWith-default = (lib.callPackageWith { a = 1; } ({ a, c ? 7 }: { inherit a c; }) { }).c;
  concatMap = lib.concatMap (x: [ x x ]) [ 1 2 ];
  concatMapStringsSep = lib.concatMapStringsSep ", " (x: "<${x}>") [ "a" "b" ];
  escapeShellArg = map lib.escapeShellArg [ "" "plain-1.2_3:4/5,6+7@8%9" "a b" "it's" "$x" "a=b" "*" "~" "-x" "ä" ];
  escapeShellArgs = lib.escapeShellArgs [ "one" "two three" "four'" ];
  fakeHash = lib.fakeHash;
  filterAttrs = lib.filterAttrs (name: value: name != "a" && value != null) set;
  flatten = lib.flatten [ 1 [ 2 [ 3 ] ] [ ] ];
  genAttrs = lib.genAttrs [ "b" "a" ] (name: name + name);
  hasPrefix = [ (lib.hasPrefix "a" "ab") (lib.hasPrefix "ab" "a") (lib.hasPrefix "" "") (lib.hasPrefix "b" "ab") ];
  importJSON = lib.importJSON ./lib-input.json;
  isDerivation = [ (lib.isDerivation package) (lib.isDerivation { }) (lib.isDerivation 1) ];
  licenses = builtins.mapAttrs (_: license: { inherit (license) spdxId free; }) {
    inherit (lib.licenses) asl20 bsd3 mit;
  };
  makeOverridable = [ overridable.sum (overridable.override { y = 5; }).sum ((overridable.override { y = 5; }).override (previous: { x = previous.x + 10; })).sum ];
  makeScope = [ scope.one.value scope.two.value scope.three.value changed.one.value changed.two.value changed.three.value ];
  optionalAttrs = [ (lib.optionalAttrs true set) (lib.optionalAttrs false set) ];
  optionals = [ (lib.optionals true [ 1 ]) (lib.optionals false [ 1 ]) ];
  optionalString = [ (lib.optionalString true "x") (lib.optionalString false "x") ];
  proxyImpureEnvVars = builtins.sort builtins.lessThan lib.fetchers.proxyImpureEnvVars;
  overridden-package = (lib.callPackageWith { a = 1; } ({ a }: { value = a; }) { }).override { a = 2; } ? override;
  unique = lib.unique [ 3 1 3 2 1 ];
}
