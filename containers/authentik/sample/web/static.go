// Package web is the web UI as files.
package web

import (
	_ "embed"
	"net/http"
)

//go:embed robots.txt
var RobotsTxt []byte

var StaticDir = http.Dir("./web/dist/")

var StaticHandler = http.FileServer(StaticDir)
