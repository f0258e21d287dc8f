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
    meta.mainProgram = "tool";
  };
in
{
  callPackageWith = (lib.callPackageWith { a = 1; b = 2; } ({ a, b ? 5, c ? 7 }: { inherit a b c; }) { b = 3; }).b;
  callPackageWith-default = (lib.callPackageWith { a = 1; } ({ a, c ? 7 }: { inherit a c; }) { }).c;
  concatMap = lib.concatMap (x: [ x x ]) [ 1 2 ];
  concatMapStrings = lib.concatMapStrings (x: "<${x}>") [ "a" "b" ];
  concatMapStringsSep = lib.concatMapStringsSep ", " (x: "<${x}>") [ "a" "b" ];
  escapeShellArg = map lib.escapeShellArg [ "" "plain-1.2_3:4/5,6+7@8%9" "a b" "it's" "$x" "a=b" "*" "~" "-x" "ä" ];
  escapeShellArgs = lib.escapeShellArgs [ "one" "two three" "four'" ];
  fakeHash = lib.fakeHash;
  filterAttrs = lib.filterAttrs (name: value: name != "a" && value != null) set;
  flatten = lib.flatten [ 1 [ 2 [ 3 ] ] [ ] ];
  genAttrs = lib.genAttrs [ "x" "y" ] (name: name + name);
  getExe = lib.getExe package;
  getExe' = lib.getExe' package "other";
  hasPrefix = [ (lib.hasPrefix "ab" "abc") (lib.hasPrefix "b" "abc") (lib.hasPrefix "" "abc") (lib.hasPrefix "abcd" "abc") ];
  hasSuffix = [ (lib.hasSuffix "bc" "abc") (lib.hasSuffix "b" "abc") (lib.hasSuffix "" "abc") (lib.hasSuffix "zabc" "abc") ];
  importJSON = lib.importJSON ./lib-input.json;
  isDerivation = [ (lib.isDerivation package) (lib.isDerivation { }) (lib.isDerivation 1) ];
  licenses = builtins.mapAttrs (_: license: { inherit (license) spdxId free; }) {
    inherit (lib.licenses) asl20 bsd3 mit;
  };
  makeOverridable = [ overridable.sum (overridable.override { y = 5; }).sum ((overridable.override { y = 5; }).override (previous: { x = previous.x + 10; })).sum ];
  makeScope = [ scope.one.value scope.two.value scope.three.value changed.one.value changed.two.value changed.three.value ];
  mapAttrs = lib.mapAttrs (name: value: name) set;
  mapAttrsToList = lib.mapAttrsToList (name: value: name) set;
  nameValuePair = lib.nameValuePair "n" 1;
  optional = [ (lib.optional true 1) (lib.optional false 1) ];
  optionalAttrs = [ (lib.optionalAttrs true set) (lib.optionalAttrs false set) ];
  optionals = [ (lib.optionals true [ 1 ]) (lib.optionals false [ 1 ]) ];
  optionalString = [ (lib.optionalString true "x") (lib.optionalString false "x") ];
  overridden-package = (lib.callPackageWith { a = 1; } ({ a }: { value = a; }) { }).override { a = 2; } ? override;
  recurseIntoAttrs = lib.recurseIntoAttrs { x = 1; };
  removePrefix = [ (lib.removePrefix "ab" "abc") (lib.removePrefix "b" "abc") ];
  splitVersion = lib.splitVersion "1.25.5";
  throwIf = lib.throwIf false "no" 1;
  throwIfNot = lib.throwIfNot true "no" 1;
  unique = lib.unique [ 3 1 3 2 1 ];
}
