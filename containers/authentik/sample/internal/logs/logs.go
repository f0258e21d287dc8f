// Package logs writes what the server says as the Python part does: one line of JSON each.
package logs

import (
	"io"
	"log/slog"
	"strings"
)

// New names what is in each line as the Python part does.
func New(output io.Writer) *slog.Logger {
	rename := func(groups []string, it slog.Attr) slog.Attr {
		if len(groups) > 0 {
			return it
		}
		switch it.Key {
		case slog.TimeKey:
			it.Key = "timestamp"
		case slog.MessageKey:
			it.Key = "event"
		case slog.LevelKey:
			name := strings.ToLower(it.Value.String())
			if name == "warn" {
				name = "warning"
			}
			it.Value = slog.StringValue(name)
		}
		return it
	}
	handler := slog.NewJSONHandler(output, &slog.HandlerOptions{ReplaceAttr: rename})
	return slog.New(handler).With("logger", "authentik.router")
}
