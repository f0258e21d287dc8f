module goauthentik.io/api/v3

go 1.25

require golang.org/x/oauth2 v0.27.0
