# The setup hook by which a Go module is compiled with the generated API client in place of the published
# one that its go.mod names.
{ makeSetupHook, client-go }:

makeSetupHook {
  name = "api-go-vendor-hook";
  substitutions.client = client-go;
  meta.description = "Compile Go modules with the generated client of the authentik API";
} ./api-go-vendor-hook.sh
