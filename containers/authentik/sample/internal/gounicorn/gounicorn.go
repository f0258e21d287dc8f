// Package gounicorn starts the Python part.
package gounicorn

import (
	"os"
	"os/exec"
)

// Command is the command line of the Python part.
func Command() *exec.Cmd {
	command := exec.Command("gunicorn", "-c", "./lifecycle/gunicorn.conf.py", "authentik.root.asgi:application")
	command.Stdout = os.Stdout
	command.Stderr = os.Stderr
	return command
}
