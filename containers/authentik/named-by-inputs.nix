# namedByInputs mkDerivation { name, outputHash, ... }: a fixed output with a short hash, in its name, of all that
# it is made from.
#
# Under the same name and hash Nix takes the output that it has, whatever interpreter, library or lock file that
# was made with. What it would be called without its hash says it: the path of that depends on all inputs, but not
# on the places that pinned sources are fetched from, nor on the name of the pins file, which messages show.
{ lib }:

mkDerivation: attrs:

let
  # without the text's context: to know the name is not to build the inputs
  made = builtins.tryEval (
    builtins.unsafeDiscardStringContext
      (mkDerivation (
        removeAttrs attrs [
          "impureEnvVars"
          "outputHash"
          "outputHashMode"
          "pinsName"
        ]
      )).outPath
  );
  # a package set may have inputs that can be listed and not built
  id = lib.optionalString made.success "-${builtins.substring 0 8 (builtins.hashString "sha256" made.value)}";
in
mkDerivation (attrs // { name = attrs.name + id; })
