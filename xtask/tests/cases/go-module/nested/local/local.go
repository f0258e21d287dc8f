// Package local is replaced by a path.
package local

const Name = "local"
