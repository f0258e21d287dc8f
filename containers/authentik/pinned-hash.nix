# pinnedHash { key, component, what }: `hash` is the one in the pins file to which these names lead. Where there
# is none it is a fake one, and `guarded` makes of a derivation one that can be listed: to want what it builds is an
# error with the command that finds the hash, but for that command.
{
  lib,
  findHashes,
  pins,
  pinsFile,
}:

{
  key,
  component,
  what,
}:

let
  step = value: name: if builtins.isAttrs value then value.${name} or null else null;
  found = builtins.foldl' step pins key;
  missing = throw "${toString pinsFile} has no `${lib.concatStringsSep "." key}`, the hash of ${what}: `cargo xtask test-build ${component} --write-pins` finds it, on a machine of that kind";
in
if builtins.isString found then
  {
    hash = found;
    guarded = drv: drv;
  }
else
  {
    hash = lib.fakeHash;
    guarded = drv: if findHashes then drv else drv // lib.genAttrs [ "drvPath" "outPath" ] (_: missing);
  }
