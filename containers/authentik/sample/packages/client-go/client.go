// Package api takes the place of the published API client, of which it has what the server uses: enough
// to resolve the module, and nothing that works. Builds put the generated client where this lies.
package api

import (
	"context"
	"errors"
	"net/http"
)

type ServerConfiguration struct{ URL string }

type ServerConfigurations []ServerConfiguration

type Configuration struct{ Servers ServerConfigurations }

func NewConfiguration() *Configuration { return &Configuration{} }

type APIClient struct{ CoreAPI *CoreAPIService }

func NewAPIClient(*Configuration) *APIClient { return &APIClient{CoreAPI: &CoreAPIService{}} }

type CoreAPIService struct{}

type ApiCoreUsersMeRetrieveRequest struct{}

func (*CoreAPIService) CoreUsersMeRetrieve(context.Context) ApiCoreUsersMeRetrieveRequest {
	return ApiCoreUsersMeRetrieveRequest{}
}

func (ApiCoreUsersMeRetrieveRequest) Execute() (*SessionUser, *http.Response, error) {
	return nil, nil, errors.New("this is the stand-in for the API client")
}

type SessionUser struct{ User UserSelf }

type UserSelf struct{ Username string }
