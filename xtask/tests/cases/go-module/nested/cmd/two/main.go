//go:build alpha && beta

package main

func main() {
	println("two")
}
