# `stdenvNoCC` of this package set: nixpkgs' `mkDerivation` over the host's tools. The shell side is
# setup.sh. What nixpkgs gives a meaning to and this does not is an error with its name, so that no
# argument is silently without effect.
{
  lib,
  system,
  bash,
  initialPath,
}:

let
  inherit (builtins)
    elem
    filter
    isBool
    isFunction
    isInt
    isString
    ;

  # Arguments with a meaning in nixpkgs which setup.sh doesn't carry out.
  unsupported = [
    "__structuredAttrs"
    "cmakeFlags"
    "configurePlatforms"
    "depsBuildBuild"
    "depsBuildBuildPropagated"
    "depsBuildTarget"
    "depsBuildTargetPropagated"
    "depsHostHost"
    "depsHostHostPropagated"
    "depsTargetTarget"
    "depsTargetTargetPropagated"
    "hardeningDisable"
    "hardeningEnable"
    "mesonFlags"
    "propagatedUserEnvPkgs"
    "realBuilder"
    "requiredSystemFeatures"
    "separateDebugInfo"
    "setSourceRoot"
    "setupHook"
    "setupHooks"
    "unpackCmd"
  ];

  # Read by Nix code, never seen by the builder.
  notForTheBuilder = [
    "env"
    "meta"
    "passthru"
    "pos"
    # lists are texts here in any case
    "__structuredAttrs"
  ];

  setup = derivation {
    name = "host-stdenv";
    inherit system initialPath;
    builder = "/host/usr/bin/bash";
    shell = "${bash}/bin/bash";
    setupScript = ./setup.sh;
    args = [
      "-euc"
      ''
        PATH=/host/usr/bin
        mkdir $out
        { echo "initialPath='$initialPath'"; echo "shell=$shell"; cat $setupScript; } > $out/setup
        exit 0
      ''
    ];
  };

  # With what fixed outputs, and they alone, check whom they reach.
  certificates = import ./host-certificates.nix { inherit lib; };

  # Where an argument comes from: nothing else in the error says so with Nix 2.8.
  given =
    attrs: key:
    let
      pos = builtins.unsafeGetAttrPos key attrs;
    in
    lib.optionalString (pos != null) " (given at ${pos.file}:${toString pos.line})";

  checkEnv =
    name: arguments: env:
    builtins.mapAttrs (
      key: value:
      if arguments ? ${key} then
        throw "${name}: `${key}` is given both in `env` and as an argument of the derivation${given env key}"
      else if isString value || isBool value || isInt value || lib.isDerivation value then
        value
      else
        throw "${name}: `env.${key}` is a ${builtins.typeOf value}; it has to be a string, a boolean, an integer or a derivation${given env key}"
    ) env;

  checkInputs =
    name: attrs: kind: inputs:
    map (
      input:
      if input == null || lib.isDerivation input || isString input || builtins.isPath input then
        input
      else
        throw "${name}: `${kind}` holds a ${builtins.typeOf input}; it has to hold derivations, strings and paths${given attrs kind}"
    ) (lib.flatten inputs);

  make =
    f:
    let
      attrs = f (attrs // { inherit finalPackage; });

      name =
        attrs.name or (
          if attrs ? pname && attrs ? version then
            "${attrs.pname}-${attrs.version}"
          else
            throw "mkDerivation wants `name`, or `pname` and `version`"
        );
      # what is switched off is carried out
      meta = attrs.meta or { };
      unavailable =
        if meta.broken or false then
          "is marked as broken"
        else if meta ? platforms && !(elem system meta.platforms) then
          "is not available on ${system} by its `meta.platforms`"
        else if lib.any (license: !(license.free or true)) (lib.flatten (meta.license or [ ])) then
          "has a license that is not free"
        else
          null;
      refused = filter (key: attrs ? ${key} && !(elem attrs.${key} [ false [ ] ])) unsupported;
      outputs = attrs.outputs or [ "out" ];
      # The same of its attributes as nixpkgs looks at.
      position =
        if attrs.meta or { } ? description then
          builtins.unsafeGetAttrPos "description" attrs.meta
        else
          builtins.unsafeGetAttrPos (if attrs ? version then "version" else "name") attrs;
      isFixedOutput = attrs ? outputHash;

      # What may be left out is made empty, as in nixpkgs.
      inputs = builtins.mapAttrs (checkInputs name attrs) {
        buildInputs = attrs.buildInputs or [ ];
        nativeBuildInputs =
          (attrs.nativeBuildInputs or [ ])
          ++ lib.optionals (attrs.doCheck or false) ((attrs.nativeCheckInputs or [ ]) ++ (attrs.checkInputs or [ ]))
          ++ lib.optionals (attrs.doInstallCheck or false) (
            (attrs.nativeInstallCheckInputs or [ ]) ++ (attrs.installCheckInputs or [ ])
          );
        propagatedBuildInputs = attrs.propagatedBuildInputs or [ ];
        propagatedNativeBuildInputs = attrs.propagatedNativeBuildInputs or [ ];
      };

      arguments =
        removeAttrs attrs notForTheBuilder
        // inputs
        // {
          inherit name system;
          stdenv = setup;
          builder = attrs.builder or "${bash}/bin/bash";
          args =
            attrs.args or [
              "-e"
              ./default-builder.sh
            ];
          strictDeps = attrs.strictDeps or false;
          patches = attrs.patches or [ ];
          doCheck = attrs.doCheck or false;
          doInstallCheck = attrs.doInstallCheck or false;
        }
        // lib.optionalAttrs isFixedOutput {
          outputHashMode = attrs.outputHashMode or "flat";
          # an SRI hash says its algorithm itself; Nix takes an empty one for a fake SHA-256
          outputHashAlgo = attrs.outputHashAlgo or (if attrs.outputHash == "" then "sha256" else null);
          NIX_SSL_CERT_FILE = certificates;
          SSL_CERT_FILE = certificates;
        };

      env = checkEnv name arguments (
        attrs.env or { }
        // lib.optionalAttrs (attrs.meta or { } ? mainProgram) {
          NIX_MAIN_PROGRAM = attrs.meta.mainProgram;
        }
      );

      drv = derivation (lib.filterAttrs (_: value: value != null) (arguments // env));

      finalPackage =
        if refused != [ ] then
          throw "${name}: host-pkgs does not carry out `${builtins.head refused}`, which nixpkgs would${given attrs (builtins.head refused)}"
        else if unavailable != null then
          throw "${name} ${unavailable}: nixpkgs refuses to evaluate it${given attrs "meta"}"
        else if outputs != [ "out" ] then
          throw "${name}: host-pkgs knows the output `out` only, not `outputs = [ ${toString outputs} ]`${given attrs "outputs"}"
        else
          drv
          // (attrs.passthru or { })
          // {
            inherit name;
            meta = {
              inherit name;
            }
            // lib.optionalAttrs (position != null) {
              position = "${position.file}:${toString position.line}";
            }
            // (attrs.meta or { });
            passthru = attrs.passthru or { };
            overrideAttrs =
              changes:
              make (
                final:
                let
                  previous = f final;
                  # `previous: { }` or `final: previous: { }`
                  once = changes previous;
                  changed =
                    if !isFunction changes then
                      changes
                    else if isFunction once then
                      changes final previous
                    else
                      once;
                in
                previous // changed
              );
          };
    in
    finalPackage;
in
{
  mkDerivation = fnOrAttrs: make (if isFunction fnOrAttrs then fnOrAttrs else _: fnOrAttrs);
  shell = "${bash}/bin/bash";
  hostPlatform = {
    inherit system;
    isLinux = true;
    isDarwin = false;
    isx86_64 = true;
    isAarch64 = false;
  };
}
