// Caddy with the modules that the proxy needs: each import compiles one in.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	// all that Caddy itself brings
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	// ACME's DNS challenge at Gandi, for wildcard certificates
	_ "github.com/caddy-dns/gandi"
	// TCP: ssh, PostgreSQL
	_ "github.com/mholt/caddy-l4"
)

func main() {
	caddycmd.Main()
}
