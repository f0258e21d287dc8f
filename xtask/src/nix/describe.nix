# What the test-build.nix of containers offer, as data: evaluated by `nix-instantiate --eval --strict --json`.
#
# Only what `request` asks for is evaluated. Paths come as text, because a path on the command line
# would have to be spliced into an expression.
{ request }:
let
  # { hostPkgs: a path or null;
  #   containers: [ { container: its name; testBuild, source, pins: paths or null;
  #                   names: the components wanted, or null for all } ];
  #   build: with derivations; tests: those too;
  #   findHashes: hashes that the pins lack are fake ones, where the container's default.nix knows of it;
  #   pinned: only which derivations take their hashes from which pins }
  asked = builtins.fromJSON request;

  path = text: /. + text;
  given = name: text: if text == null then { } else { ${name} = path text; };

  # one for all containers
  hostPkgs = import (path asked.hostPkgs) { };

  harnessOf =
    container:
    import (path container.testBuild) (
      (if asked.hostPkgs == null then { } else { pkgs = hostPkgs; })
      // given "source" container.source
      // given "pins" container.pins
      // (if asked.findHashes && findsHashes container then { findHashes = true; } else { })
    );
  findsHashes =
    container:
    let
      file = dirOf (path container.testBuild) + "/default.nix";
      entry = import file;
    in
    builtins.pathExists file
    && builtins.isFunction entry
    && builtins.functionArgs entry ? findHashes;

  isDerivation = value: builtins.isAttrs value && value.type or "" == "derivation";
  derivations = set: builtins.filter (name: isDerivation set.${name}) (builtins.attrNames set);

  describe =
    name: component:
    let
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

  describeContainer =
    container:
    let
      components = removeAttrs (harnessOf container) [
        "pinned"
        "recurseForDerivations"
      ];
      names = builtins.attrNames components;
    in
    {
      inherit (container) container;
      inherit names;
      components = map (name: describe name components.${name}) (
        if container.names == null then
          derivations components
        else
          builtins.filter (name: builtins.elem name names) container.names
      );
    };

  # one that can't be built over this package set has no part in any build
  pinnedOf =
    container:
    map (derivation: {
      drv = derivation.drvPath;
      out = derivation.outPath;
      file = toString derivation.pin.file;
      inherit (derivation.pin) key;
    }) (
      builtins.filter (derivation: (builtins.tryEval derivation.drvPath).success) (
        (harnessOf container).pinned or [ ]
      )
    );
in
if asked.pinned then
  builtins.concatMap pinnedOf asked.containers
else
  map describeContainer asked.containers
