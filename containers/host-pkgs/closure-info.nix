# closureInfo { rootPaths }: what these store paths need to run, all of it: `store-paths`, one a line,
# `registration`, as nix-store --load-db takes it, and `total-nar-size`.
{ python3, system }:

{ rootPaths }:

derivation {
  name = "closure-info";
  inherit system;
  __structuredAttrs = true;
  exportReferencesGraph.closure = rootPaths;
  # an environment has no place for it
  allowSubstitutes = false;
  builder = "${python3}/bin/python3";
  args = [ ./closure-info.py ];
}
