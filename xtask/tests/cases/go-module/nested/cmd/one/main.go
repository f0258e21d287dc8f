package main

import (
	"example.org/local"
	"github.com/inconshreveable/mousetrap"

	"example.org/case/inside"
)

// set by ldflags
var greeting = "unset"

func main() {
	println(greeting, local.Name, inside.Name, mousetrap.StartedByExplorer())
}
