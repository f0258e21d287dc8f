package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
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
	BlueprintsDir string `yaml:"blueprints_dir"`
}

// The defaults, and what the environment says otherwise.
func load() (settings, error) {
	var config settings
	err := yaml.UnmarshalStrict(lib.Defaults(), &config)
	config.Listen.HTTP = cmp.Or(os.Getenv("AUTHENTIK_LISTEN__HTTP"), config.Listen.HTTP)
	return config, err
}

// Serves until it is told to end or one of the two parts does.
func serve(ctx context.Context, config settings) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	backend := gounicorn.Command(ctx)
	if err := backend.Start(); err != nil {
		return err
	}
	server := &http.Server{Addr: config.Listen.HTTP, Handler: web.NewHandler(config.Web.Path)}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	ended := make(chan error, 1)
	go func() {
		ended <- backend.Wait()
		stop()
	}()
	err := server.ListenAndServe()
	stop()
	for _, err := range []error{err, <-ended} {
		if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

func rootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:          "authentik",
		Short:        "Start authentik instance",
		Version:      constants.VERSION(),
		SilenceUsage: true,
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
		Short: "Ask the server whether its Python part answers",
		Args:  cobra.ExactArgs(1),
		RunE: func(*cobra.Command, []string) error {
			config, err := load()
			if err != nil {
				return err
			}
			response, err := http.Head("http://" + config.Listen.HTTP + config.Web.Path + "-/health/live/")
			if err == nil && response.StatusCode >= 400 {
				err = fmt.Errorf("the server answers %s", response.Status)
			}
			return err
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
