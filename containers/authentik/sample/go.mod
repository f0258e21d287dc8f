module goauthentik.io

go 1.25

require (
	github.com/gorilla/mux v1.8.1
	github.com/spf13/cobra v1.10.2
	goauthentik.io/api/v3 v3.2026020.0
	gopkg.in/yaml.v2 v2.4.0
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
)

replace goauthentik.io/api/v3 => ./packages/client-go
