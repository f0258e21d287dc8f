# The host's pip. The interpreter is the distribution's own: the one on PATH may come from anywhere.
{ runCommand, runtimeShell }:

runCommand "host-pip" { meta.mainProgram = "pip"; } ''
  mkdir -p $out/bin
  cat >$out/bin/pip <<'EOF'
  #!${runtimeShell}
  exec /host/usr/bin/python3 -m pip --disable-pip-version-check "$@"
  EOF
  chmod +x $out/bin/pip
''
