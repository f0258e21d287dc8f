# The container image: `assembled` with a shell, certificates and time zones, as the user 65534.
{
  lib,
  assembled,
  authentik-django,
  bashInteractive,
  cacert,
  callPackage,
  coreutils,
  dockerTools,
  runCommand,
  runtimeShell,
  sources,
  tzdata,
  webui,
}:

let
  inherit (assembled) version;

  # What others look for at places of its own.
  root = runCommand "authentik-root-${version}" { inherit assembled; } ''
    mkdir -p $out/bin $out/etc/ssl/certs $out/usr/bin $out/usr/share $out/blueprints/custom
    (
      # beside those of others, which are mounted at custom
      built_in=$(readlink -f $assembled/blueprints)
      cd $built_in
      find . -type d -exec mkdir -p $out/blueprints/{} ';'
      find . -type f -exec ln -s $built_in/{} $out/blueprints/{} ';'
    )
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
    nobody:x:${user}:0:authentik:/tmp:/bin/bash
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
    # Blueprints configure who may do what: nobody writes there. Into the others the group of root may, so
    # that any user of it can run the image.
    extraCommands = ''
      mkdir -m 1777 tmp
      mkdir -m 0770 certs data
      find blueprints -type d -exec chmod 0555 {} ';'
    '';
    config = {
      Entrypoint = [
        "${authentik-django}/bin/dumb-init"
        "--"
        "${assembled}/bin/ak"
      ];
      User = "${user}:0";
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
        "PYTHONTZPATH=${tzdata}/share/zoneinfo"
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

  # what it holds, for who has to know
  sbom = callPackage ./sbom.nix {
    # and what the configuration names
    contents = [
      assembled
      authentik-django
      cacert
      root
      tzdata
    ];
  };

  meta = {
    description = "Container image of authentik";
    homepage = "https://goauthentik.io/";
    license = lib.licenses.mit;
  };
  # here, not where buildLayeredImage is
  position =
    let
      at = builtins.unsafeGetAttrPos "description" meta;
    in
    "${at.file}:${toString at.line}";

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

    # The list of what it holds is that of what it holds.
    sbom = runCommand "image-sbom-${version}" {
      inherit image sbom;
      django = authentik-django;
      lock = sources.web-lock;
      program = ./tests/image/sbom.py;
    } ''
      $django/bin/python3 $program $sbom $image $lock/package-lock.json
      touch $out
    '';

    # What it holds beside the store: the built-in blueprints, which nobody can change, and folders with the
    # modes that they need.
    root =
      runCommand "image-root-${version}"
        {
          inherit image;
          django = authentik-django;
          program = ./tests/image/root.py;
        }
        ''
          $django/bin/python3 $program $image $django/blueprints
          touch $out
        '';
  };
in
# not as arguments: which of them reach the image is not the same in all versions of nixpkgs
image
// {
  inherit sbom tests version;
  meta = image.meta or { } // meta // { inherit position; };
}
