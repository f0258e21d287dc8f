// Package gounicorn starts the Python part.
package gounicorn

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Command is the command line of the Python part, which is told to end when the context does.
func Command(ctx context.Context) *exec.Cmd {
	command := exec.CommandContext(ctx, "gunicorn", "-c", "./lifecycle/gunicorn.conf.py", "authentik.root.wsgi:application")
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	command.Stdout = os.Stdout
	command.Stderr = os.Stderr
	return command
}
