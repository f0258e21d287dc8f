# The icons of the web UI, as they lie in the source, and no pages: those the web UI brings, which takes
# the place of this where all is put together. The same folders, `authentik/` and `dist/`.
{ runCommand, sources }:

runCommand "authentik-web-assets-${sources.version}" { icons = sources.web-icons; } ''
  mkdir -p $out/dist
  cp -r $icons $out/authentik
''
