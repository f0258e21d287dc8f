# The part of nixpkgs' `lib` that the expressions of this repository use, under the same names and
# with the same results. xtask/tests/cases/lib.nix and lib.json hold the calls and the values that
# nixpkgs' own library gives for them.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    filter
    functionArgs
    intersectAttrs
    isAttrs
    isFunction
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

  # Where a function names an argument.
  where =
    fn: name:
    let
      pos = builtins.unsafeGetAttrPos name (functionArgs fn);
    in
    if pos == null then "" else " at ${pos.file}:${toString pos.line}";

  lib = {
    inherit (builtins)
      any
      concatMap
      concatStringsSep
      filter
      ;

    # Fixed points and packages

    isDerivation = value: isAttrs value && value.type or null == "derivation";

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
          "the package set has no `${name}`, which the function${where fn name} calls for"
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

    genAttrs = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
    filterAttrs = keep: attrs: removeAttrs attrs (filter (name: !keep name attrs.${name}) (attrNames attrs));
    optionalAttrs = condition: attrs: if condition then attrs else { };

    # Lists and strings

    concatMapStringsSep =
      separator: f: list:
      concatStringsSep separator (map f list);
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    escapeShellArg =
      arg:
      let
        text = toString arg;
      in
      if match "[[:alnum:],._+:@%/-]+" text == null then "'${replaceStrings [ "'" ] [ "'\\''" ] text}'" else text;
    escapeShellArgs = lib.concatMapStringsSep " " lib.escapeShellArg;
    optionals = condition: list: if condition then list else [ ];
    optionalString = condition: text: if condition then text else "";
    flatten = value: if builtins.isList value then builtins.concatMap lib.flatten value else [ value ];
    unique = builtins.foldl' (seen: x: if builtins.elem x seen then seen else seen ++ [ x ]) [ ];

    # Files and packages

    # What no output has; a build says what stands in its place.
    fakeHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    # For fixed outputs over the network: what may come in from the environment of Nix itself.
    fetchers.proxyImpureEnvVars = [
      "http_proxy"
      "https_proxy"
      "ftp_proxy"
      "all_proxy"
      "no_proxy"
      "HTTP_PROXY"
      "HTTPS_PROXY"
      "FTP_PROXY"
      "ALL_PROXY"
      "NO_PROXY"
      "NIX_SSL_CERT_FILE"
    ];

    importJSON = path: builtins.fromJSON (builtins.readFile path);
    importTOML = path: builtins.fromTOML (builtins.readFile path);

    licenses = builtins.mapAttrs (_: spdxId: { inherit spdxId; free = true; }) {
      asl20 = "Apache-2.0";
      bsd3 = "BSD-3-Clause";
      gpl2 = "GPL-2.0";
      mit = "MIT";
    };
  };
in
lib
