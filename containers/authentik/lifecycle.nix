# What starts and supervises the Python part, as it lies in the source, below `lifecycle/`.
{ runCommand, sources }:

runCommand "authentik-lifecycle-${sources.version}" { files = sources.lifecycle; } ''
  mkdir $out
  cp -r $files $out/lifecycle
''
