# The schema as JSON, for the clients' tests: what reads it there knows no YAML.
{
  openapi-generator-cli,
  runCommand,
  sources,
}:

runCommand "authentik-schema-json-${sources.version}"
  {
    inherit (sources) schema;
    nativeBuildInputs = [ openapi-generator-cli ];
  }
  ''
    openapi-generator-cli generate --generator-name openapi --input-spec $schema --output made
    cp made/openapi.json $out
  ''
