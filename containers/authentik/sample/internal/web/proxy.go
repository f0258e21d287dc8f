package web

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
)

// newBackend hands requests to the Python part, which listens on a socket below TMPDIR.
func newBackend() http.Handler {
	backend := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "localhost:8000"})
	socket := path.Join(os.TempDir(), "authentik-core.sock")
	backend.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	backend.ModifyResponse = func(response *http.Response) error {
		response.Header.Set("X-Powered-By", "authentik")
		return nil
	}
	return backend
}
