// Package lib holds what the Python part and the server both read.
package lib

import _ "embed"

//go:embed default.yml
var defaults []byte

// Defaults are the settings that hold where nothing else is set.
func Defaults() []byte {
	return defaults
}
