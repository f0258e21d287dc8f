package web

import (
	"log/slog"
	"net/http"
	"time"
)

// An answer that remembers its status.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// A line for each request, as the Python part has it for those that it answers.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		a := &answer{w, http.StatusOK}
		next.ServeHTTP(a, r)
		slog.Info(r.RequestURI, "method", r.Method, "runtime", time.Since(start).Milliseconds(), "status", a.status)
	})
}
