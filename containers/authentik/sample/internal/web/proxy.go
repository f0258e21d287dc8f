package web

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"sync/atomic"
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
	var answered atomic.Bool
	backend.ModifyResponse = func(response *http.Response) error {
		answered.Store(true)
		response.Header.Set("X-Powered-By", "authentik")
		return nil
	}
	// until it has answered once, it starts
	backend.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
		if !answered.Load() {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "authentik starting", http.StatusServiceUnavailable)
			return
		}
		slog.Warn("the Python part does not answer", "path", r.URL.Path, "error", err.Error())
		http.Error(w, "the Python part does not answer", http.StatusBadGateway)
	}
	return backend
}
