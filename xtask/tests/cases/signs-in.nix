# The sample's whole, made wrong on purpose after it was built: for each fault the test that has to find it.
# `good` goes the same way without one.
{
  pkgs,
  pins ? ../../../containers/authentik/sample/pins.json,
}:

let
  inherit (pkgs) runCommand;

  scope = import ../../../containers/authentik { inherit pkgs pins; };

  # A component with these paths in the place of others, of the same length, and what `script` does to it.
  changed =
    component: paths: script:
    runCommand component.name
      {
        inherit component;
        inherit (component) version;
        before = map (path: path.before) paths;
        after = map (path: path.after) paths;
        nativeBuildInputs = [ pkgs.patchelf ];
      }
      ''
        cp -r $component $out
        chmod -R u+w $out
        before+=" $component" after+=" $out"
        read -ra after <<<"$after"
        for path in $before; do
          [ ''${#path} = ''${#after[0]} ] # offsets stay
          grep -rlF $path $out >named || true
          xargs -r sed -i "s|$path|''${after[0]}|g" <named
          after=("''${after[@]:1}")
        done
        site=$(echo $out/lib/python*/site-packages)
        ${script}
      '';

  # The test over a scope with other parts. The server knows backend and web UI by their paths: it is not
  # compiled anew for others.
  signs-in =
    parts:
    let
      faulty = scope.overrideScope (
        final: previous:
        parts previous
        // {
          authentik-server = previous.authentik-server // {
            override =
              { lifecycle, webAssets }:
              changed scope.assembled.server [
                {
                  before = scope.authentik-django;
                  after = lifecycle;
                }
                {
                  before = scope.webui;
                  after = webAssets;
                }
              ] "";
          };
        }
      );
    in
    faulty.assembled.tests.signs-in;

  # a fault of the backend
  backend = script: signs-in (previous: {
    authentik-django = changed previous.authentik-django [ ] script;
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
