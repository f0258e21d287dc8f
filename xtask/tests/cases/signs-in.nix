# The sample's whole, made wrong on purpose after it was built: for each fault the test that has to find it.
# `good` goes the same way without one.
{
  pkgs,
  pins ? ../../../containers/authentik/sample/pins.json,
}:

let
  inherit (pkgs) runCommand;

  scope = import ../../../containers/authentik { inherit pkgs pins; };

  # A component under a path of its own, and what `script` does to it.
  changed =
    component: script:
    runCommand component.name
      {
        inherit component;
        inherit (component) version;
        nativeBuildInputs = [ pkgs.patchelf ];
      }
      ''
        cp -r $component $out
        chmod -R u+w $out
        grep -rlF $component $out >named || true
        xargs -r sed -i "s|$component|$out|g" <named
        site=$(echo $out/lib/python*/site-packages)
        ${script}
      '';

  # The test over a scope with other parts.
  signs-in = parts: (scope.overrideScope (_: parts)).assembled.tests.signs-in;

  # a fault of the backend
  backend = script: signs-in (previous: {
    authentik-django = changed previous.authentik-django script;
  });
in
{
  good = backend "";

  module-missing = backend "rm -r $site/yaml";

  # as a wheel brings it, under a name of its own: of two with the same name a process takes the first
  two-libraries = backend ''
    second=$site/second.libs/libxml2-0123abcd.so.2
    mkdir $(dirname $second)
    cp -L ${pkgs.libxml2}/lib/libxml2.so $second
    chmod u+w $second
    patchelf --set-soname $(basename $second) $second
    echo "import ctypes; ctypes.CDLL('$second')" >$site/second.pth
  '';

  # as of another release of it
  library-not-found = backend ''
    for library in $site/psycopg_c/*.so; do
      patchelf --replace-needed libpq.so.5 libpq.so.6 $library
    done
  '';

  blueprint-not-applied = backend ''
    printf '%s\n' 'version: 1' 'entries:' '  - model: authentik_none.none' '    identifiers: {}' \
      >$out/blueprints/default/planted.yaml
  '';

  # https://github.com/goauthentik/authentik/issues/19616, as it is upstream
  migration-out-of-order = backend ''
    sed -i 's|("authentik_core", "0056_user_roles"),||' $out/authentik/rbac/migrations/0010_*.py
    rm $out/authentik/rbac/migrations/__pycache__/0010_*
  '';

  web-ui-of-another-version = signs-in (previous: {
    webui = previous.webui.overrideAttrs { version = "2026.1.0"; };
  });

  no-time-zones = signs-in (previous: {
    tzdata = runCommand "tzdata-none" { } "mkdir -p $out/share/zoneinfo";
  });
}
