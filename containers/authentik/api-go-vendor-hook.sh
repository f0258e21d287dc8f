# Puts the generated API client where `vendor/` has the published one, when the build is configured.

apiGoVendorHook() {
  local api=vendor/goauthentik.io/api/v3
  if [ ! -d "$api" ]; then
    echo "apiGoVendorHook: there is no $api: the module does not use the API client" >&2
    return 1
  fi
  echo "apiGoVendorHook: $api becomes @client@"
  # copied from the store: read-only, folders too
  chmod -R u+w vendor/goauthentik.io
  rm -r "$api"
  cp -r "@client@" "$api"
}

# A build with a fixed output, whatever its hash, an empty one too, is the one that fetches the modules:
# they are pinned as published.
if [ -z "${outputHash+set}" ]; then
  postConfigureHooks+=(apiGoVendorHook)
fi
