// Package constants says what is built.
package constants

import _ "embed"

//go:embed VERSION
var version string

// VERSION is the version of the whole.
func VERSION() string {
	return version
}
