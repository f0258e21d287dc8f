# What test-build.nix offers, as data: evaluated by `nix-instantiate --eval --strict --json`.
#
# Only what `request` asks for is evaluated. Paths come as text, because a path on the command line
# would have to be spliced into an expression; an empty text means: not given.
{
  testBuild,
  request,
  hostPkgs ? "",
  source ? "",
  pins ? "",
}:
let
  # { names: the components wanted, or null for all; build: with derivations; tests: those too;
  #   pinned: only which derivations take their hashes from which pins }
  asked = builtins.fromJSON request;

  path = text: /. + text;
  given = name: text: if text == "" then { } else { ${name} = path text; };

  harness = import (path testBuild) (
    (if hostPkgs == "" then { } else { pkgs = import (path hostPkgs) { }; })
    // given "source" source
    // given "pins" pins
  );

  attributes = removeAttrs harness [
    "pinned"
    "recurseForDerivations"
  ];

  names = builtins.attrNames attributes;
  isDerivation = value: builtins.isAttrs value && value.type or "" == "derivation";
  derivations = set: builtins.filter (name: isDerivation set.${name}) (builtins.attrNames set);

  describe =
    name:
    let
      component = attributes.${name};
      tests = component.tests or (component.passthru.tests or { });
      built =
        derivation:
        # not under its own name: an attribute set with `outPath` becomes JSON as that path alone
        if asked.build then
          {
            drv = derivation.drvPath;
            out = derivation.outPath;
            position = derivation.meta.position or null;
          }
        else
          { };
    in
    {
      inherit name;
      version = component.version or (builtins.parseDrvName component.name).version;
      description = component.meta.description or "";
      tests =
        if asked.tests then
          map (test: { name = test; } // built tests.${test}) (derivations tests)
        else
          [ ];
    }
    // built component;
in
if asked.pinned then
  # one that can't be built over this package set has no part in any build
  map (derivation: {
    drv = derivation.drvPath;
    file = toString derivation.pin.file;
    inherit (derivation.pin) key;
  }) (builtins.filter (derivation: (builtins.tryEval derivation.drvPath).success) (harness.pinned or [ ]))
else
{
  inherit names;
  components = map describe (
    if asked.names == null then
      derivations attributes
    else
      builtins.filter (name: builtins.elem name names) asked.names
  );
}
