# The certificate authorities that Mozilla trusts, from the PyPI package that carries them: the same ones on
# each machine, for what is built and shipped. What is fetched is fetched with the machine's own bundle
# (stdenv.nix), as its own clients do.
{
  fetchWheel,
  runCommand,
  unzip,
}:

let
  wheel = fetchWheel "certifi";
in
runCommand "cacert-${wheel.version}"
  {
    inherit wheel;
    nativeBuildInputs = [ unzip ];
    passthru = { inherit (wheel) version; };
  }
  ''
    unzip -q $wheel certifi/cacert.pem
    mkdir -p $out/etc/ssl/certs $out/nix-support
    mv certifi/cacert.pem $out/etc/ssl/certs/ca-bundle.crt
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
