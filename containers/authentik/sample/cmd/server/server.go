package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v2"

	"goauthentik.io/authentik/lib"
	"goauthentik.io/internal/ak"
	"goauthentik.io/internal/constants"
	"goauthentik.io/internal/gounicorn"
	"goauthentik.io/internal/web"
)

type settings struct {
	Listen string `yaml:"listen"`
	Path   string `yaml:"path"`
}

func rootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:          "authentik",
		Short:        "Start authentik instance",
		Version:      constants.VERSION(),
		SilenceUsage: true,
		RunE: func(_ *cobra.Command, _ []string) error {
			var config settings
			if err := yaml.UnmarshalStrict(lib.Defaults(), &config); err != nil {
				return err
			}
			if err := gounicorn.Command().Start(); err != nil {
				return err
			}
			return http.ListenAndServe(config.Listen, web.NewHandler(config.Path))
		},
	}
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
