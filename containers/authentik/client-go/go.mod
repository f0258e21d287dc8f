module goauthentik.io/api/v3

go 1.25

require (
	github.com/stretchr/testify v1.10.0
	golang.org/x/oauth2 v0.27.0
)
