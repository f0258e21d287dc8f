# What tools/over-nixpkgs evaluates: all components and tests of all containers over one nixpkgs.
{
  # a folder; without it the pinned one of each container
  nixpkgs ? null,
  system ? builtins.currentSystem,
  pins ? null,
  source ? null,
}:

let
  containers = ../containers;
  given = name: value: if value == null then { } else { ${name} = /. + value; };
  isDerivation = value: builtins.isAttrs value && value.type or "" == "derivation";
  derivations = set: builtins.filter (name: isDerivation set.${name}) (builtins.attrNames set);

  names = builtins.filter (name: builtins.pathExists (containers + "/${name}/test-build.nix")) (
    builtins.attrNames (builtins.readDir containers)
  );
  harnesses = builtins.listToAttrs (
    map (name: {
      inherit name;
      value = import (containers + "/${name}/test-build.nix") (
        { inherit system; }
        // given "nixpkgs" nixpkgs
        // (if name == "authentik" then given "pins" pins // given "source" source else { })
      );
    }) names
  );

  # all components, none of which is looked at
  components = builtins.concatMap (
    container:
    map (component: {
      name = "${container}.${component}";
      value = harnesses.${container}.${component};
    }) (
      builtins.attrNames (
        removeAttrs harnesses.${container} [
          "pinned"
          "recurseForDerivations"
        ]
      )
    )
  ) names;

  withTests =
    { name, value }@component:
    let
      tests = value.tests or { };
    in
    [ component ]
    ++ map (test: {
      name = "${name}.tests.${test}";
      value = tests.${test};
    }) (derivations tests);
  all = builtins.concatMap withTests components;

  # What is wrong with the meta of a component, by nixpkgs' own rules; tests have none.
  faultsOf =
    { name, value }:
    let
      meta = value.meta or { };
      description = meta.description or "";
      file = builtins.head (builtins.match "(.*):[0-9]+" (meta.position or "nowhere:0"));
      fault = condition: text: if condition then [ "${name}: ${text}" ] else [ ];
    in
    fault (description == "") "no meta.description"
    ++ fault (
      builtins.match "(A|An|The) .*|.*\\." description != null
    ) "meta.description begins with an article or ends with a full stop: ${description}"
    ++ fault (!(meta ? license)) "no meta.license"
    ++ fault (
      builtins.match "${toString containers}/.*" file == null
    ) "meta.position is not in this repository: ${file}"
    ++ fault (!(meta.available or true)) "not available: unsupported, broken or not free";
in
{
  # all at once
  every = map (it: it.value) all;
  # one by one: the components, the names of one and its tests, and each of these
  components = map (it: it.name) components;
  names = builtins.listToAttrs (
    map (it: {
      inherit (it) name;
      value = map (it: it.name) (withTests it);
    }) components
  );
  by = builtins.mapAttrs (_: builtins.listToAttrs) (
    builtins.listToAttrs (
      map (it: {
        inherit (it) name;
        value = withTests it;
      }) components
    )
  );
  count = builtins.length all;
  faults = builtins.concatMap faultsOf components;
  pinned = builtins.concatMap (
    container:
    map (drv: {
      file = toString drv.pin.file;
      key = builtins.concatStringsSep "." drv.pin.key;
      drv = drv.drvPath;
    }) (
      # one without a hash is named with its component
      builtins.filter (drv: (builtins.tryEval drv.drvPath).success) (harnesses.${container}.pinned or [ ])
    )
  ) names;
}
