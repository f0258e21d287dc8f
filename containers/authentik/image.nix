# The container image: `assembled` with a shell, certificates and time zones, as the user 65534.
{
  lib,
  assembled,
  authentik-django,
  bashInteractive,
  cacert,
  coreutils,
  dockerTools,
  runCommand,
  runtimeShell,
  tzdata,
  webui,
}:

let
  inherit (assembled) version;

  entrypoint =
    runCommand "authentik-entrypoint-${version}"
      {
        inherit assembled;
        django = authentik-django;
        meta.mainProgram = "entrypoint";
      }
      ''
        mkdir -p $out/bin
        substitute ${./entrypoint.sh} $out/bin/entrypoint \
          --subst-var-by shell ${runtimeShell} \
          --subst-var-by blueprints $django/blueprints \
          --subst-var-by ak $assembled/bin/ak
        chmod +x $out/bin/entrypoint
      '';

  # What others look for at places of its own.
  root = runCommand "authentik-root-${version}" { inherit assembled; } ''
    mkdir -p $out/bin $out/etc/ssl/certs $out/usr/bin $out/usr/share
    ln -s $assembled/bin/* ${bashInteractive}/bin/* ${coreutils}/bin/* $out/bin/
    ln -s ${coreutils}/bin/env $out/usr/bin/env
    ln -s ${tzdata}/share/zoneinfo $out/usr/share/zoneinfo
    ln -s ${tzdata}/share/zoneinfo $out/etc/zoneinfo
    for name in ca-bundle.crt ca-certificates.crt; do
      ln -s ${cacert}/etc/ssl/certs/ca-bundle.crt $out/etc/ssl/certs/$name
    done
    if [ -e $assembled/authentik/sources/kerberos/krb5.conf ]; then
      ln -s $(readlink -f $assembled/authentik/sources/kerberos/krb5.conf) $out/etc/krb5.conf
    fi
    cat >$out/etc/passwd <<EOF
    root:x:0:0:root:/:/bin/bash
    nobody:x:${user}:${user}:authentik:/tmp:/bin/bash
    EOF
    cat >$out/etc/group <<EOF
    root:x:0:
    nogroup:x:${user}:
    EOF
    echo 'hosts: files dns' >$out/etc/nsswitch.conf
  '';

  user = "65534";
  seconds = count: count * 1000000000;

  image = dockerTools.buildLayeredImage {
    name = "authentik";
    tag = version;
    maxLayers = 60;
    contents = [ root ];
    # registries compress layers by themselves; skopeo 1.9 reads no archive that is compressed as a whole
    compressor = "none";
    # what is written, be it a mount or not; whoever runs as another user can write there as well
    extraCommands = ''
      mkdir -m 1777 -p tmp blueprints certs data media
      ln -s /media data/media
    '';
    config = {
      Entrypoint = [
        "${authentik-django}/bin/dumb-init"
        "--"
        "${entrypoint}/bin/entrypoint"
      ];
      User = "${user}:${user}";
      WorkingDir = "/";
      ExposedPorts = {
        "9000/tcp" = { };
        "9443/tcp" = { };
      };
      Env = [
        "PATH=/bin"
        # as upstream's image: sockets and keys are gone when the container is
        "TMPDIR=/dev/shm"
        "PYTHONDONTWRITEBYTECODE=1"
        "PYTHONUNBUFFERED=1"
        "SSL_CERT_FILE=${cacert}/etc/ssl/certs/ca-bundle.crt"
        "TZDIR=${tzdata}/share/zoneinfo"
        "AUTHENTIK_BLUEPRINTS_DIR=/blueprints"
        "AUTHENTIK_STORAGE__FILE__PATH=/data"
      ];
      Healthcheck = {
        Test = [
          "CMD"
          "ak"
          "healthcheck"
        ];
        Interval = seconds 30;
        Timeout = seconds 30;
        StartPeriod = seconds 60;
        Retries = 3;
      };
      Labels = {
        "org.opencontainers.image.title" = "authentik";
        "org.opencontainers.image.description" = "Identity provider authentik, built from source with Nix";
        "org.opencontainers.image.version" = version;
        "org.opencontainers.image.source" = "https://github.com/goauthentik/authentik";
        "org.opencontainers.image.licenses" = "MIT";
      };
    };
  };

  tests = {
    # What the archive holds, by name and size: the very components, and nothing that is not expected.
    closure =
      runCommand "image-closure-${version}"
        {
          inherit image;
          django = authentik-django;
          program = ./tests/image/closure.py;
          wanted = [
            assembled
            assembled.server
            authentik-django
            webui
          ];
          allowed = ./tests/image/allowed.txt;
        }
        ''
          $django/bin/python3 $program $image $allowed $wanted
          touch $out
        '';

    # The entry point links the built-in blueprints beside others, which it leaves alone, and `ak` answers.
    entrypoint =
      runCommand "image-entrypoint-${version}"
        {
          inherit entrypoint;
          django = authentik-django;
        }
        ''
          start() {
            env -i PATH=${coreutils}/bin TMPDIR=$TMPDIR AUTHENTIK_BLUEPRINTS_DIR=$PWD/blueprints \
              $entrypoint/bin/entrypoint dump_config
          }
          built_in=$(cd $django/blueprints && find . -name '*.yaml' | sort)
          first=''${built_in%%$'\n'*}
          mkdir -p blueprints/mine "$(dirname blueprints/$first)"
          echo mine >blueprints/mine/own.yaml
          echo mine >blueprints/$first
          ln -s /nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-authentik-django-1/blueprints/gone.yaml blueprints/
          # as often as the container starts
          for _ in 1 2; do
            start >config.json
            grep -F "\"blueprints_dir\": \"$PWD/blueprints\"" config.json
            test "$(cat blueprints/$first blueprints/mine/own.yaml)" = "$(printf 'mine\nmine')"
            test ! -L blueprints/gone.yaml
            for file in $built_in; do
              test $file = $first || test "$(readlink blueprints/$file)" = $django/blueprints/''${file#./}
            done
          done
          echo "$(wc -w <<<$built_in) built-in blueprints"

          # where nothing can be written
          rm -r blueprints
          mkdir -m 555 blueprints
          start >config.json 2>said.txt
          grep -F "the built-in blueprints are read from $django/blueprints" said.txt
          grep -F "\"blueprints_dir\": \"$django/blueprints\"" config.json
          chmod 755 blueprints
          echo mine >blueprints/own.yaml
          chmod 555 blueprints
          start >config.json 2>said.txt
          grep -F "built-in blueprints are missing among those in $PWD/blueprints" said.txt
          grep -F "\"blueprints_dir\": \"$PWD/blueprints\"" config.json
          touch $out
        '';
  };
in
# not as arguments: which of them reach the image is not the same in all versions of nixpkgs
image
// {
  inherit tests version;
  meta = image.meta or { } // {
    description = "Container image of authentik";
    homepage = "https://goauthentik.io/";
    license = lib.licenses.mit;
  };
}
