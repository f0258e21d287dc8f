package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v2"

	"goauthentik.io/authentik/lib"
	"goauthentik.io/internal/ak"
	"goauthentik.io/internal/constants"
	"goauthentik.io/internal/gounicorn"
	"goauthentik.io/internal/web"
)

type settings struct {
	Listen struct {
		HTTP string `yaml:"http"`
	} `yaml:"listen"`
	Web struct {
		Workers int    `yaml:"workers"`
		Path    string `yaml:"path"`
	} `yaml:"web"`
}

// The defaults, and what the environment says otherwise.
func load() (settings, error) {
	var config settings
	err := yaml.Unmarshal(lib.Defaults(), &config)
	config.Listen.HTTP = cmp.Or(os.Getenv("AUTHENTIK_LISTEN__HTTP"), config.Listen.HTTP)
	return config, err
}

// Serves until it is told to end, which is no error, or until one of the two parts ends by itself.
func serve(ctx context.Context, config settings) error {
	told, forget := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer forget()
	ctx, stop := context.WithCancel(told)
	defer stop()
	backend := gounicorn.Command(ctx)
	if err := backend.Start(); err != nil {
		return err
	}
	server := &http.Server{
		Addr:     config.Listen.HTTP,
		Handler:  web.NewHandler(config.Web.Path),
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	go func() {
		<-ctx.Done()
		slog.Info("the server ends")
		_ = server.Close()
	}()
	ended := make(chan error, 1)
	go func() {
		ended <- backend.Wait()
		stop()
	}()
	slog.Info("the server starts", "listen", config.Listen.HTTP)
	err := server.ListenAndServe()
	stop()
	other := <-ended
	if told.Err() != nil {
		return nil
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return cmp.Or(other, errors.New("the Python part ended"))
}

// Asks the process that wrote the file below TMPDIR for a sign of life.
func checkWorker() error {
	text, err := os.ReadFile(path.Join(os.TempDir(), "authentik-worker.pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return syscall.Kill(pid, 0)
}

// Asks the server whether its Python part answers.
func checkServer(config settings) error {
	response, err := http.Head("http://" + config.Listen.HTTP + config.Web.Path + "-/health/live/")
	if err == nil && response.StatusCode >= 400 {
		err = fmt.Errorf("the server answers %s", response.Status)
	}
	return err
}

func rootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:           "authentik",
		Short:         "Start authentik instance",
		Version:       constants.VERSION(),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := load()
			if err != nil {
				return err
			}
			return serve(command.Context(), config)
		},
	}
	root.AddCommand(&cobra.Command{
		Use:   "healthcheck MODE",
		Short: "Ask the server or the worker whether it is there",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if args[0] == "worker" {
				return checkWorker()
			}
			config, err := load()
			if err != nil {
				return err
			}
			return checkServer(config)
		},
	})
	root.AddCommand(&cobra.Command{
		Use:   "whoami URL",
		Short: "Ask an API who it takes us for",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			name, err := ak.WhoAmI(command.Context(), args[0])
			if err == nil {
				fmt.Println(name)
			}
			return err
		},
	})
	return root
}
