// Tries a Go client for the API of authentik, the real one or the one made from
// the sample schema, against a stub server. Put this file into the folder of
// the client and run `go test .` there; it needs nothing but the client and the
// standard library.
package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	api "goauthentik.io/api/v3"
)

const (
	token = "sample-token"
	uuid  = "6f0c3d9e-6a43-4d55-9d0e-0a4f6c1b2e11"
)

// The answers have all properties that the real schema requires, as the client
// refuses an answer without them, and so more than the sample knows.
const (
	providerJSON = `{
		"pk": 7, "name": "wiki provider", "authentication_flow": null,
		"authorization_flow": "` + uuid + `", "invalidation_flow": "` + uuid + `",
		"property_mappings": [], "component": "ak-provider-oauth2-form",
		"assigned_application_slug": "wiki", "assigned_application_name": "Wiki",
		"assigned_backchannel_application_slug": null,
		"assigned_backchannel_application_name": null,
		"verbose_name": "provider", "verbose_name_plural": "providers",
		"meta_model_name": "authentik_providers_oauth2.oauth2provider"
	}`
	applicationJSON = `{
		"pk": "` + uuid + `", "name": "Wiki", "slug": "wiki", "provider": 7,
		"provider_obj": ` + providerJSON + `,
		"backchannel_providers": [], "backchannel_providers_obj": [],
		"launch_url": null, "open_in_new_tab": true, "meta_launch_url": "",
		"meta_icon_url": "/media/wiki.svg",
		"meta_icon_themed_urls": {"light": "/media/wiki-light.svg", "dark": null},
		"policy_engine_mode": "any", "group": ""
	}`
	userJSON = `{
		"pk": 4, "username": "ada", "name": "Ada", "is_active": true,
		"last_login": null, "date_joined": "2026-01-02T03:04:05.678Z",
		"is_superuser": false, "groups": ["` + uuid + `"],
		"groups_obj": [{"pk": "` + uuid + `", "num_pk": 12, "name": "Staff"}],
		"roles": [], "roles_obj": null, "email": "ada@example.com", "avatar": "",
		"attributes": {"snake_key": {"deep_key": [1, 2]}}, "uid": "f00",
		"path": "users", "type": "service_account", "uuid": "` + uuid + `",
		"password_change_date": "2026-01-02T03:04:05Z",
		"last_updated": "2026-01-02T03:04:05Z"
	}`
)

func list(results string) string {
	return `{
		"pagination": {
			"next": 3, "previous": 1, "count": 5, "current": 2,
			"total_pages": 3, "start_index": 3, "end_index": 4
		},
		"results": [` + results + `], "autocomplete": {}
	}`
}

type seen struct {
	*http.Request
	body []byte
}

// stub starts a server that gives one answer, and makes a client for it. What
// the client sent is to be had from the function, after the call.
func stub(t *testing.T, status int, answer string) (*api.APIClient, func() seen) {
	t.Helper()
	var requests []seen
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests = append(requests, seen{r, body})
		if answer != "" {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)

	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	// The path of the API comes from the schema, hence from the client.
	config := api.NewConfiguration()
	config.Scheme = address.Scheme
	config.Host = address.Host
	config.AddDefaultHeader("X-Sample", "1")

	return api.NewAPIClient(config), func() seen {
		t.Helper()
		if len(requests) != 1 {
			t.Fatalf("%d requests instead of one", len(requests))
		}
		return requests[0]
	}
}

func signedIn() context.Context {
	return context.WithValue(context.Background(), api.ContextAccessToken, token)
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}

func sentJSON(t *testing.T, request seen) map[string]any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(request.body, &body); err != nil {
		t.Fatalf("body %q: %v", request.body, err)
	}
	return body
}

func TestList(t *testing.T) {
	client, sent := stub(t, http.StatusOK, list(applicationJSON))
	page, response, err := client.CoreAPI.CoreApplicationsList(signedIn()).
		Search("a&b=c +é/?#%").
		OnlyWithLaunchUrl(false).
		SuperuserFullList(true).
		Page(2).
		PageSize(2).
		Execute()
	if err != nil {
		t.Fatal(err)
	}

	request := sent()
	equal(t, "method", request.Method, "GET")
	equal(t, "path", request.URL.Path, "/api/v3/core/applications/")
	equal(t, "token", request.Header.Get("Authorization"), "Bearer "+token)
	equal(t, "default header", request.Header.Get("X-Sample"), "1")
	equal(t, "accept", request.Header.Get("Accept"), "application/json")
	equal(t, "query", request.URL.Query(), url.Values{
		"search":               {"a&b=c +é/?#%"},
		"only_with_launch_url": {"false"},
		"superuser_full_list":  {"true"},
		"page":                 {"2"},
		"page_size":            {"2"},
	})
	if escaped := "search=a%26b%3Dc+%2B%C3%A9%2F%3F%23%25"; !strings.Contains(request.URL.RawQuery, escaped) {
		t.Errorf("query %s lacks %s", request.URL.RawQuery, escaped)
	}

	equal(t, "status", response.StatusCode, http.StatusOK)
	equal(t, "pages", page.Pagination.TotalPages, float32(3))
	equal(t, "results", len(page.Results), 1)
	first := page.Results[0]
	equal(t, "slug", first.Slug, "wiki")
	equal(t, "provider", first.GetProvider(), int32(7))
	equal(t, "provider object", first.ProviderObj.GetAssignedApplicationSlug(), "wiki")
	equal(t, "launch address", first.LaunchUrl.Get(), (*string)(nil))
	equal(t, "icon", first.GetMetaIconUrl(), "/media/wiki.svg")
	equal(t, "themed icon", first.MetaIconThemedUrls.Get().GetLight(), "/media/wiki-light.svg")
	equal(t, "mode", first.GetPolicyEngineMode(), api.POLICYENGINEMODE_ANY)
}

func TestQueryArrays(t *testing.T) {
	client, sent := stub(t, http.StatusOK, list(userJSON))
	since := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	page, _, err := client.CoreAPI.CoreUsersList(signedIn()).
		GroupsByName([]string{"Staff & Co", "plain"}).
		Type_([]string{"external", "service_account"}).
		DateJoinedGt(since).
		IsActive(true).
		Execute()
	if err != nil {
		t.Fatal(err)
	}

	query := sent().URL.Query()
	equal(t, "groups", query["groups_by_name"], []string{"Staff & Co", "plain"})
	equal(t, "types", query["type"], []string{"external", "service_account"})
	equal(t, "time", query["date_joined__gt"], []string{"2026-01-01T00:00:00Z"})
	equal(t, "active", query["is_active"], []string{"true"})

	equal(t, "results", len(page.Results), 1)
	first := page.Results[0]
	equal(t, "joined", first.DateJoined.Format(time.RFC3339Nano), "2026-01-02T03:04:05.678Z")
	equal(t, "last login", first.LastLogin.Get(), (*time.Time)(nil))
	equal(t, "type", first.GetType(), api.USERTYPEENUM_SERVICE_ACCOUNT)
	equal(t, "group", first.GroupsObj[0].NumPk, int32(12))
	equal(t, "attributes", first.Attributes, map[string]any{
		"snake_key": map[string]any{"deep_key": []any{1.0, 2.0}},
	})
}

func TestQueryArrayWithCommas(t *testing.T) {
	client, sent := stub(t, http.StatusOK, list(""))
	_, _, err := client.PoliciesAPI.PoliciesReputationScoresList(context.Background()).
		IdentifierIn([]string{"a", "b"}).
		Execute()
	if err != nil {
		t.Fatal(err)
	}
	request := sent()
	equal(t, "identifiers", request.URL.Query()["identifier_in"], []string{"a,b"})
	equal(t, "token", request.Header.Values("Authorization"), []string(nil))
}

func TestCreate(t *testing.T) {
	client, sent := stub(t, http.StatusCreated, applicationJSON)
	wanted := api.NewApplicationRequest(`Wiki "é"`, "wiki")
	wanted.SetProviderNil()
	wanted.SetBackchannelProviders([]int32{1, 2})
	wanted.SetOpenInNewTab(false)
	wanted.SetPolicyEngineMode(api.POLICYENGINEMODE_ALL)
	created, response, err := client.CoreAPI.CoreApplicationsCreate(signedIn()).
		ApplicationRequest(*wanted).
		Execute()
	if err != nil {
		t.Fatal(err)
	}

	request := sent()
	equal(t, "method", request.Method, "POST")
	equal(t, "address", request.RequestURI, "/api/v3/core/applications/")
	equal(t, "token", request.Header.Get("Authorization"), "Bearer "+token)
	equal(t, "content type", request.Header.Get("Content-Type"), "application/json")
	equal(t, "body", sentJSON(t, request), map[string]any{
		"name":                  `Wiki "é"`,
		"slug":                  "wiki",
		"provider":              nil,
		"backchannel_providers": []any{1.0, 2.0},
		"open_in_new_tab":       false,
		"policy_engine_mode":    "all",
	})
	equal(t, "status", response.StatusCode, http.StatusCreated)
	equal(t, "pk", created.Pk, uuid)
}

func TestPartialUpdate(t *testing.T) {
	client, sent := stub(t, http.StatusOK, applicationJSON)
	change := api.NewPatchedApplicationRequest()
	change.SetOpenInNewTab(true)
	_, _, err := client.CoreAPI.CoreApplicationsPartialUpdate(signedIn(), "a b/é?").
		PatchedApplicationRequest(*change).
		Execute()
	if err != nil {
		t.Fatal(err)
	}
	request := sent()
	equal(t, "method", request.Method, "PATCH")
	equal(t, "address", request.RequestURI, "/api/v3/core/applications/a%20b%2F%C3%A9%3F/")
	equal(t, "body", sentJSON(t, request), map[string]any{"open_in_new_tab": true})
}

func TestDestroy(t *testing.T) {
	client, sent := stub(t, http.StatusNoContent, "")
	response, err := client.CoreAPI.CoreGroupsDestroy(signedIn(), uuid).Execute()
	if err != nil {
		t.Fatal(err)
	}
	request := sent()
	equal(t, "method", request.Method, "DELETE")
	equal(t, "address", request.RequestURI, "/api/v3/core/groups/"+uuid+"/")
	equal(t, "status", response.StatusCode, http.StatusNoContent)
}

func TestUpload(t *testing.T) {
	client, sent := stub(t, http.StatusOK, "")
	content := []byte{0, 255, 13, 10, 45, 45, 128}
	path := filepath.Join(t.TempDir(), "pixel.bin")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, err = client.AdminAPI.AdminFileCreate(signedIn()).
		File(file).
		Name("folder/pixel.bin").
		Usage("media").
		Execute()
	if err != nil {
		t.Fatal(err)
	}

	request := sent()
	equal(t, "method", request.Method, "POST")
	equal(t, "address", request.RequestURI, "/api/v3/admin/file/")
	kind, parameters, err := mime.ParseMediaType(request.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "content type", kind, "multipart/form-data")
	form, err := multipart.NewReader(bytes.NewReader(request.body), parameters["boundary"]).ReadForm(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "fields", form.Value, map[string][]string{
		"name":  {"folder/pixel.bin"},
		"usage": {"media"},
	})
	equal(t, "files", len(form.File["file"]), 1)
	equal(t, "file name", form.File["file"][0].Filename, "pixel.bin")
	part, err := form.File["file"][0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	got, err := io.ReadAll(part)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "file", got, content)
}

func TestOneOf(t *testing.T) {
	client, sent := stub(t, http.StatusOK, `{
		"component": "ak-stage-password",
		"flow_info": {"cancel_url": "/cancel/", "layout": "content_left"},
		"response_errors": {"password": [{"string": "Wrong.", "code": "invalid"}]},
		"pending_user": "ada", "pending_user_avatar": "/ada.png"
	}`)
	challenge, _, err := client.FlowsAPI.FlowsExecutorGet(signedIn(), "login").
		Query("next=%2Fif%2F&x=1").
		Execute()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "query", sent().URL.Query().Get("query"), "next=%2Fif%2F&x=1")
	password, ok := challenge.GetActualInstance().(*api.PasswordChallenge)
	if !ok {
		t.Fatalf("challenge is a %T", challenge.GetActualInstance())
	}
	equal(t, "user", password.PendingUser, "ada")
	equal(t, "layout", password.FlowInfo.Layout, api.CONTEXTUALFLOWINFOLAYOUTENUM_CONTENT_LEFT)
	equal(t, "error", (*password.ResponseErrors)["password"][0].Code, "invalid")
	if challenge.RedirectChallenge != nil {
		t.Error("challenge is a redirect, too")
	}
}

func TestOneOfRequest(t *testing.T) {
	client, sent := stub(t, http.StatusOK, `{"component": "xak-flow-redirect", "to": "/if/user/"}`)
	answer := api.NewPasswordChallengeResponseRequest("pässword")
	challenge, _, err := client.FlowsAPI.FlowsExecutorSolve(signedIn(), "login").
		Query("").
		FlowChallengeResponseRequest(api.PasswordChallengeResponseRequestAsFlowChallengeResponseRequest(answer)).
		Execute()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "body", sentJSON(t, sent()), map[string]any{
		"component": "ak-stage-password",
		"password":  "pässword",
	})
	if challenge.RedirectChallenge == nil {
		t.Fatalf("challenge is a %T", challenge.GetActualInstance())
	}
	equal(t, "to", challenge.RedirectChallenge.To, "/if/user/")
}

func TestValidationError(t *testing.T) {
	client, _ := stub(t, http.StatusBadRequest, `{"slug": ["Taken."], "code": "invalid"}`)
	_, response, err := client.CoreAPI.CoreApplicationsCreate(signedIn()).
		ApplicationRequest(*api.NewApplicationRequest("x", "wiki")).
		Execute()
	var failure *api.GenericOpenAPIError
	if !errors.As(err, &failure) {
		t.Fatalf("error is %#v", err)
	}
	equal(t, "status", response.StatusCode, http.StatusBadRequest)
	model, ok := failure.Model().(api.ValidationError)
	if !ok {
		t.Fatalf("model is a %T", failure.Model())
	}
	equal(t, "code", model.GetCode(), "invalid")
	equal(t, "slug", model.AdditionalProperties["slug"], any([]any{"Taken."}))
	if !bytes.Contains(failure.Body(), []byte("Taken.")) {
		t.Errorf("body is %q", failure.Body())
	}
}

func TestGenericError(t *testing.T) {
	client, _ := stub(t, http.StatusForbidden, `{"detail": "No."}`)
	_, response, err := client.AdminAPI.AdminVersionRetrieve(signedIn()).Execute()
	var failure *api.GenericOpenAPIError
	if !errors.As(err, &failure) {
		t.Fatalf("error is %#v", err)
	}
	equal(t, "status", response.StatusCode, http.StatusForbidden)
	model, ok := failure.Model().(api.GenericError)
	if !ok {
		t.Fatalf("model is a %T", failure.Model())
	}
	equal(t, "detail", model.Detail, "No.")
}

// An answer must have what the schema requires, and only known enum values.
func TestWrongAnswers(t *testing.T) {
	for _, answer := range []string{
		strings.Replace(list(applicationJSON), `"slug": "wiki", `, "", 1),
		strings.Replace(list(applicationJSON), `"policy_engine_mode": "any"`, `"policy_engine_mode": "some"`, 1),
	} {
		client, _ := stub(t, http.StatusOK, answer)
		if _, _, err := client.CoreAPI.CoreApplicationsList(signedIn()).Execute(); err == nil {
			t.Errorf("took %s", answer)
		}
	}
}

func TestEnum(t *testing.T) {
	if !slices.Contains(api.AllowedPolicyEngineModeEnumValues, api.POLICYENGINEMODE_ANY) {
		t.Error("a value is missing")
	}
	if _, err := api.NewPolicyEngineModeFromValue("some"); err == nil {
		t.Error("took a value that is none")
	}
}
