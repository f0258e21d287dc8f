# The machine's own bundle of certificate authorities, taken into the store: fixed outputs reach the
# registries as this machine's clients do, and no path of /etc is bound into the sandbox.
{ lib }:

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
in
if present == [ ] then
  throw "host-pkgs: no bundle of CA certificates (looked at ${lib.concatStringsSep ", " candidates}); cargo xtask setup --install brings it"
else
  builtins.path {
    name = "ca-bundle.crt";
    path = builtins.head present;
  }
