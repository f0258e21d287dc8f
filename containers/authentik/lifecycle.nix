# What starts and supervises the Python part, as it lies in the source, below `lifecycle/`. Its name is as long as
# that of authentik-django, which takes its place in the program where all is put together.
{ runCommand, sources }:

runCommand "server-lifecycle-${sources.version}" { files = sources.lifecycle; } ''
  mkdir $out
  cp -r $files $out/lifecycle
''
