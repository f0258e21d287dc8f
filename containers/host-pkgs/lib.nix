# The part of nixpkgs' `lib` that the expressions of this repository use, under the same names and
# with the same results. xtask/tests/host_pkgs.rs holds the calls with the values that nixpkgs' own
# library gives for them.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    filter
    functionArgs
    intersectAttrs
    isAttrs
    isFunction
    listToAttrs
    match
    replaceStrings
    stringLength
    substring
    ;

  # The names that `name` could have meant: nixpkgs suggests by edit distance, a common start will do.
  similar =
    name: candidates:
    filter (
      candidate:
      let
        length = min 3 (stringLength name);
      in
      substring 0 length candidate == substring 0 length name
    ) candidates;

  min = a: b: if a < b then a else b;

  where =
    fn:
    let
      pos = builtins.unsafeGetAttrPos (builtins.head (attrNames (functionArgs fn))) (functionArgs fn);
    in
    if functionArgs fn == { } || pos == null then "" else " at ${pos.file}:${toString pos.line}";

  lib = {
    inherit (builtins)
      attrNames
      attrValues
      concatLists
      concatMap
      concatStringsSep
      elem
      filter
      isAttrs
      isFunction
      isList
      isString
      listToAttrs
      mapAttrs
      replaceStrings
      ;

    # Fixed points and packages

    fix =
      f:
      let
        x = f x;
      in
      x;

    isDerivation = value: isAttrs value && value.type or null == "derivation";

    recurseIntoAttrs = attrs: attrs // { recurseForDerivations = true; };

    # A result that can be made again with other arguments, by its `override`.
    makeOverridable =
      f: args:
      let
        result = f args;
        override = changes: lib.makeOverridable f (args // (if isFunction changes then changes args else changes));
      in
      if isAttrs result then
        result
        // {
          inherit override;
        }
        // (
          if result ? overrideAttrs then
            # what `overrideAttrs` gives can be overridden as well
            { overrideAttrs = changes: lib.makeOverridable (new: (f new).overrideAttrs changes) args; }
          else
            { }
        )
      else
        result;

    # Calls a function (or the file that holds one) with those of its named arguments that `scope`
    # has, `args` before them. A missing one is an error that names it.
    callPackageWith =
      scope: fnOrPath: args:
      let
        fn = if isFunction fnOrPath then fnOrPath else import fnOrPath;
        wanted = functionArgs fn;
        given = intersectAttrs wanted scope // args;
        missing = filter (name: !wanted.${name} && !(given ? ${name})) (attrNames wanted);
        name = builtins.head missing;
        suggestions = similar name (attrNames scope);
      in
      if missing == [ ] then
        lib.makeOverridable fn given
      else
        throw (
          "the package set has no `${name}`, which the function${where fn} calls for"
          + lib.optionalString (suggestions != [ ]) "; it has ${concatStringsSep ", " suggestions}"
        );

    # An attribute set whose packages find one another by `callPackage`.
    makeScope =
      newScope: f:
      let
        self = f self // {
          newScope = extra: newScope (self // extra);
          callPackage = self.newScope { };
          overrideScope =
            changes:
            lib.makeScope newScope (
              final:
              let
                previous = f final;
              in
              previous // changes final previous
            );
          packages = f;
        };
      in
      self;

    # Attribute sets

    filterAttrs = keep: attrs: removeAttrs attrs (filter (name: !keep name attrs.${name}) (attrNames attrs));
    genAttrs =
      names: f:
      listToAttrs (
        map (name: {
          inherit name;
          value = f name;
        }) names
      );
    mapAttrsToList = f: attrs: map (name: f name attrs.${name}) (attrNames attrs);
    nameValuePair = name: value: { inherit name value; };
    optionalAttrs = condition: attrs: if condition then attrs else { };

    # Lists and strings

    concatMapStringsSep =
      separator: f: list:
      concatStringsSep separator (map f list);
    concatStrings = concatStringsSep "";
    concatMapStrings = f: list: concatStringsSep "" (map f list);
    escapeShellArg =
      arg:
      let
        text = toString arg;
      in
      if match "[[:alnum:],._+:@%/-]+" text == null then "'${replaceStrings [ "'" ] [ "'\\''" ] text}'" else text;
    escapeShellArgs = lib.concatMapStringsSep " " lib.escapeShellArg;
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    hasSuffix =
      suffix: text:
      let
        rest = stringLength text - stringLength suffix;
      in
      rest >= 0 && substring rest (stringLength suffix) text == suffix;
    removePrefix =
      prefix: text: if lib.hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: list: if condition then list else [ ];
    optionalString = condition: text: if condition then text else "";
    splitVersion = builtins.splitVersion;
    flatten = value: if builtins.isList value then builtins.concatMap lib.flatten value else [ value ];
    unique = builtins.foldl' (seen: x: if builtins.elem x seen then seen else seen ++ [ x ]) [ ];

    # Files and packages

    getExe =
      package:
      lib.getExe' package (
        package.meta.mainProgram or (throw "the package ${package.name} has no `meta.mainProgram`")
      );
    getExe' = package: program: "${lib.getBin package}/bin/${program}";
    getBin = package: package.bin or package.out or package;
    importJSON = path: builtins.fromJSON (builtins.readFile path);
    throwIf = condition: message: if condition then throw message else value: value;
    throwIfNot = condition: message: if condition then value: value else throw message;
    fakeHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    licenses = builtins.mapAttrs (_: spdxId: { inherit spdxId; free = true; }) {
      asl20 = "Apache-2.0";
      bsd3 = "BSD-3-Clause";
      gpl2 = "GPL-2.0";
      mit = "MIT";
    };
    platforms = rec {
      linux = [
        "aarch64-linux"
        "x86_64-linux"
      ];
      darwin = [
        "aarch64-darwin"
        "x86_64-darwin"
      ];
      unix = linux ++ darwin;
      all = unix;
    };
  };
in
lib
