# The machine's own bundle of certificate authorities, taken into the store: fixed outputs reach the
# registries as this machine's clients do, and no path of /etc is bound into the sandbox.
{ lib, runCommand }:

let
  candidates =
    lib.filter (path: path != "") [
      (builtins.getEnv "NIX_SSL_CERT_FILE")
      (builtins.getEnv "SSL_CERT_FILE")
    ]
    ++ [
      "/etc/ssl/certs/ca-certificates.crt"
      "/etc/pki/tls/certs/ca-bundle.crt"
    ];
  present = lib.filter builtins.pathExists candidates;
  bundle =
    if present == [ ] then
      throw "host-pkgs: no bundle of CA certificates (looked at ${lib.concatStringsSep ", " candidates}); cargo xtask setup --install brings it"
    else
      builtins.path {
        name = "ca-bundle.crt";
        path = builtins.head present;
      };
in
runCommand "host-cacert" { inherit bundle; } ''
  mkdir -p $out/etc/ssl/certs $out/nix-support
  cp $bundle $out/etc/ssl/certs/ca-bundle.crt
  cat >$out/nix-support/setup-hook <<EOF
  # a bundle that the environment names stays, if it is to be seen in here
  if [ ! -r "\''${NIX_SSL_CERT_FILE:-}" ]; then
    export NIX_SSL_CERT_FILE="$out/etc/ssl/certs/ca-bundle.crt"
  fi
  if [ ! -r "\''${SSL_CERT_FILE:-}" ]; then
    export SSL_CERT_FILE="\$NIX_SSL_CERT_FILE"
  fi
  EOF
''
