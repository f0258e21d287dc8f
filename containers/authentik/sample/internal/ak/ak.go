// Package ak asks the API.
package ak

import (
	"context"

	"goauthentik.io/api/v3"
)

// WhoAmI is the name of the user that the API at url takes the caller for.
func WhoAmI(ctx context.Context, url string) (string, error) {
	config := api.NewConfiguration()
	config.Servers = api.ServerConfigurations{{URL: url}}
	session, _, err := api.NewAPIClient(config).CoreAPI.CoreUsersMeRetrieve(ctx).Execute()
	if err != nil {
		return "", err
	}
	return session.User.Username, nil
}
