package main

import (
	"log/slog"
	"os"

	"goauthentik.io/internal/logs"
)

func main() {
	slog.SetDefault(logs.New(os.Stderr))
	if err := rootCmd().Execute(); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}
