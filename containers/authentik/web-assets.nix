# The icons of the web UI, as they lie in the source, and no pages: those the web UI brings, which takes
# the place of this where all is put together: the same folders, `authentik/` and `dist/`, and a name as long.
{ runCommand, sources }:

runCommand "icons-${sources.version}" { icons = sources.web-icons; } ''
  mkdir -p $out/dist
  cp -r $icons $out/authentik
''
