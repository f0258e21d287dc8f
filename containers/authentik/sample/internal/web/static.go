// Package web serves the web UI, and hands to the Python part what is not of it.
package web

import (
	"net/http"

	"github.com/gorilla/mux"

	staticWeb "goauthentik.io/web"
)

// NewHandler serves the whole below path.
func NewHandler(path string) http.Handler {
	router := mux.NewRouter()
	dist := http.FileServer(http.Dir("./web/dist"))
	icons := http.FileServer(http.Dir("./web/authentik"))
	static := router.PathPrefix(path + "static/").Subrouter()
	static.Use(logged)
	static.PathPrefix("/dist/").Handler(http.StripPrefix(path+"static/dist/", dist))
	static.PathPrefix("/authentik/").Handler(http.StripPrefix(path+"static/authentik/", icons))
	router.Path(path + "robots.txt").HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(staticWeb.RobotsTxt)
	})
	// what a page names from where it lies
	router.PathPrefix(path + "if/flow/{slug}/assets/").HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.StripPrefix(path+"if/flow/"+mux.Vars(r)["slug"], staticWeb.StaticHandler).ServeHTTP(w, r)
	})
	router.PathPrefix(path).Handler(newBackend())
	return router
}
