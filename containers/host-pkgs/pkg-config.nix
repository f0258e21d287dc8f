# The host's pkg-config, which finds what is among the `buildInputs` and nothing else of the host.
{
  bash,
  hostPkgConfig,
  runCommand,
}:

runCommand "pkg-config" { meta.mainProgram = "pkg-config"; } ''
  mkdir -p $out/bin
  cat >$out/bin/pkg-config <<'EOF'
  #!${bash}/bin/bash
  PKG_CONFIG_LIBDIR=
  for input in $buildInputs $propagatedBuildInputs; do
    PKG_CONFIG_LIBDIR+=:$input/lib/pkgconfig:$input/share/pkgconfig
  done
  export PKG_CONFIG_LIBDIR=''${PKG_CONFIG_LIBDIR#:}
  exec ${hostPkgConfig}/bin/pkg-config "$@"
  EOF
  chmod +x $out/bin/pkg-config
''
