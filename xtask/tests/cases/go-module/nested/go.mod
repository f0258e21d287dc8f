module example.org/case

go 1.25

require (
	example.org/local v0.0.0
	github.com/inconshreveable/mousetrap v1.1.0
)

replace example.org/local => ./local
