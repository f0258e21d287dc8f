# The whole: the server with the very backend and web UI built here, and `ak`, upstream's one command for all
# of it. Upstream starts at the root of its tree and finds what else it wants from there; so there is such a
# root here, of links.
{
  lib,
  authentik-django,
  authentik-server,
  cacert,
  closureInfo,
  coreutils,
  lifecycle,
  runCommand,
  runtimeShell,
  service,
  sources,
  tzdata,
  webAssets,
  webui,
}:

let
  inherit (authentik-django) version;

  # The server with the paths of this backend and this web UI in the place of those that it was built with. To compile
  # it anew takes minutes and comes to the same: the paths have as many bytes, so that all else stays where it is.
  server =
    runCommand "authentik-server-${version}"
      {
        built = authentik-server;
        inherit lifecycle webAssets webui;
        django = authentik-django;
      }
      ''
        mkdir -p $out/bin
        cp $built/bin/authentik $out/bin/
        chmod u+w $out/bin/authentik
        replace() {
          if [ ''${#1} != ''${#2} ]; then
            echo "$1 stands for $2 in the server, and has not as many bytes: their names have to be of one length" >&2
            exit 1
          fi
          LC_ALL=C sed -i "s|''${1//./\\.}|$2|g" $out/bin/authentik
        }
        replace $lifecycle $django
        replace $webAssets $webui
      '';

  assembled =
    runCommand "assembled-${version}"
      {
        pname = "assembled";
        inherit version;
        django = authentik-django;
        inherit server webui;

        passthru = {
          inherit server;
          inherit tests;
        };
        meta = {
          description = "Server, backend and web UI of authentik as one";
          homepage = "https://goauthentik.io/";
          license = lib.licenses.mit;
          mainProgram = "ak";
        };
      }
      ''
        mkdir -p $out/bin $out/web
        ln -s $django/{authentik,blueprints,lifecycle,locale,manage.py} $out/
        ln -s $webui/dist $webui/authentik $django/web/icons $out/web/
        ln -s $server/bin/authentik $out/bin/
        substitute ${./ak.sh} $out/bin/ak \
          --subst-var-by shell ${runtimeShell} \
          --subst-var-by certificates ${cacert}/etc/ssl/certs/ca-bundle.crt \
          --subst-var-by zones ${tzdata}/share/zoneinfo \
          --subst-var-by path $django/bin:$server/bin:${coreutils}/bin \
          --subst-var-by ak $django/lifecycle/ak \
          --subst-var out
        chmod +x $out/bin/ak
      '';

  tests = {
    # The server knows this backend and this web UI, by their store paths, and nothing in their place.
    wiring =
      runCommand "assembled-wiring-${version}"
        {
          inherit assembled;
          django = authentik-django;
          inherit server webui;
          others = [
            lifecycle
            webAssets
          ];
          closure = closureInfo { rootPaths = [ assembled ]; };
        }
        ''
          test "$(readlink -f $assembled/bin/authentik)" = $server/bin/authentik
          for path in $django/lifecycle/gunicorn.conf.py $webui/dist/ $webui/authentik; do
            grep -qaF $path $assembled/bin/authentik || { echo "the server does not hold $path" >&2; exit 1; }
          done
          for path in $others; do
            ! grep -qaF $path $assembled/bin/authentik || { echo "the server still holds $path" >&2; exit 1; }
            ! grep -x $path $closure/store-paths || { echo "it takes $path along" >&2; exit 1; }
          done
          for path in $django $server $webui; do
            grep -x $path $closure/store-paths || { echo "it does without $path" >&2; exit 1; }
          done
          for path in authentik blueprints lifecycle locale web/dist web/authentik web/icons; do
            test -d $assembled/$path
          done
          touch $out
        '';

    # `ak` answers, from wherever it is called, with nothing on PATH and no database.
    ak =
      runCommand "assembled-ak-${version}"
        {
          inherit assembled;
          django = authentik-django;
        }
        ''
          env -i TMPDIR=$TMPDIR $assembled/bin/ak dump_config >config.json
          grep -F "\"blueprints_dir\": \"$django/blueprints\"" config.json
          env -i TMPDIR=$TMPDIR AUTHENTIK_BLUEPRINTS_DIR=/elsewhere $assembled/bin/ak dump_config >config.json
          grep -F '"blueprints_dir": "/elsewhere"' config.json
          # no server runs
          mkdir authentik-server
          echo server >authentik-server/authentik-mode
          if env -i TMPDIR=$TMPDIR $assembled/bin/ak healthcheck; then
            echo "ak says that a server runs" >&2
            exit 1
          fi
          touch $out
        '';

    # It starts with a database of its own and does what people want of it: see the program's list of steps.
    signs-in =
      runCommand "assembled-signs-in-${version}"
        {
          inherit assembled service;
          django = authentik-django;
          program = ./tests/assembled/signs_in.py;
          leaveOut = sources.leave-out;
        }
        ''
          $django/bin/python3 $program $service/share/plan.json --assembled $assembled ''${leaveOut:+--leave-out $leaveOut}
          touch $out
        '';
  };
in
assembled
