# The names of python-deps and webui-deps, by what is another in them: over any package set, nothing is built.
{
  pkgs,
  pins ? ../../../containers/authentik/sample/pins.json,
  # the same sample with other lock files, and with other places of what is fetched
  otherLock ? pins,
  otherPlaces ? pins,
}:

let
  scopeOf =
    pins:
    import ../../../containers/authentik {
      inherit pkgs;
      pins = /. + pins;
    };
  names = scope: {
    python-deps = scope.python-deps.name;
    webui-deps = scope.webui-deps.name;
  };
  with_ = name: (scopeOf pins).overrideScope (_: _: { ${name} = pkgs.runCommand "another-${name}" { } ""; });
in
builtins.mapAttrs (_: names) {
  as-it-is = scopeOf pins;
  lock = scopeOf otherLock;
  places = scopeOf otherPlaces;
  interpreter = with_ "python";
  openssl = with_ "openssl";
  libxml2 = with_ "libxml2";
  uv = with_ "uv";
  build-tools = with_ "build-tools";
  nodejs_24 = with_ "nodejs_24";
}
