// Tries a Go client for the API of authentik, the real one or the one made from
// the sample schema, against a stub server. Put this file into the folder of
// the client, beside openapi.json, the schema as JSON, and run `go test .` there;
// it needs nothing but the client and the standard library.
//
// Another release may require another property, or let one be null which then has
// another type in Go. So answers are completed from the schema, and properties are
// read through their getters, which are the same for all of that.
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
	"sync"
	"testing"
	"time"
	"unicode"

	api "goauthentik.io/api/v3"
)

const (
	token = "sample-token"
	uuid  = "6f0c3d9e-6a43-4d55-9d0e-0a4f6c1b2e11"
)

// object is a JSON object.
type object = map[string]any

// What the tests look at in answers.
func application() object {
	return object{
		"pk": uuid, "name": "Wiki", "slug": "wiki", "provider": 7,
		"provider_obj":          object{"pk": 7, "assigned_application_slug": "wiki"},
		"launch_url":            nil,
		"meta_icon_url":         "/media/wiki.svg",
		"meta_icon_themed_urls": object{"light": "/media/wiki-light.svg", "dark": nil},
		"policy_engine_mode":    "any",
	}
}

func user() object {
	return object{
		"last_login":  nil,
		"date_joined": "2026-01-02T03:04:05.678Z",
		"groups_obj":  []any{object{"num_pk": 12}},
		"attributes":  object{"snake_key": object{"deep_key": []any{1, 2}}},
		"type":        "service_account",
	}
}

func list(results ...any) object {
	return object{
		"pagination": object{
			"next": 3, "previous": 1, "count": 5, "current": 2,
			"total_pages": 3, "start_index": 3, "end_index": 4,
		},
		"results": results,
	}
}

// schema is what the schema says of a value, as far as values are made from it.
type schema struct {
	Ref        string `json:"$ref"`
	Type       string
	Format     string
	Nullable   bool
	Enum       []any
	AllOf      []schema
	OneOf      []schema
	Items      *schema
	Properties map[string]schema
	Required   []string
}

var schemas = sync.OnceValue(func() map[string]schema {
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		panic(err)
	}
	var document struct {
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(text, &document); err != nil {
		panic(err)
	}
	return document.Components.Schemas
})

// model gives the schema of a model.
func model(name string) schema {
	found, ok := schemas()[name]
	if !ok {
		panic("the schema has no " + name)
	}
	return found
}

// real follows a reference.
func (s schema) real() schema {
	switch {
	case s.Ref != "":
		return model(s.Ref[strings.LastIndex(s.Ref, "/")+1:]).real()
	case len(s.AllOf) > 0:
		return s.AllOf[0].real()
	case len(s.OneOf) > 0:
		return s.OneOf[0].real()
	}
	return s
}

// How much a made value has.
type extent int

const (
	required extent = iota // what an answer must have, null where that may be
	nulls                  // all, null where that may be
	all                    // all
)

// make makes a value.
func (s schema) make(extent extent) any {
	if s.Nullable && extent != all {
		return nil
	}
	s = s.real()
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	switch s.Type {
	case "boolean":
		return true
	case "integer", "number":
		return 1.0
	case "array":
		if extent == required {
			return []any{}
		}
		return []any{s.Items.make(extent)}
	case "string":
		switch s.Format {
		case "date-time":
			return "2026-01-02T03:04:05Z"
		case "date":
			return "2026-01-02"
		case "uuid":
			return uuid
		}
		return "text"
	}
	made := object{}
	for name, property := range s.Properties {
		if extent != required || slices.Contains(s.Required, name) {
			made[name] = property.make(extent)
		}
	}
	return made
}

// complete adds what an answer must have and does not.
func (s schema) complete(value any) any {
	s = s.real()
	switch value := value.(type) {
	case object:
		completed := object{}
		for name, property := range value {
			completed[name] = s.Properties[name].complete(property)
		}
		for _, name := range s.Required {
			if _, ok := completed[name]; !ok {
				completed[name] = s.Properties[name].make(required)
			}
		}
		return completed
	case []any:
		completed := []any{}
		for _, item := range value {
			if s.Items != nil {
				item = s.Items.complete(item)
			}
			completed = append(completed, item)
		}
		return completed
	}
	return value
}

// answer is the text of an answer that is a model.
func answer(name string, value object) string {
	return text(model(name).complete(value))
}

func text(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// at makes a value addressable, as getters want it.
func at[T any](value T) *T { return &value }

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
	client, sent := stub(t, http.StatusOK, answer("PaginatedApplicationList", list(application())))
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
	equal(t, "pages", at(page.GetPagination()).GetTotalPages(), float32(3))
	equal(t, "results", len(page.GetResults()), 1)
	first := page.GetResults()[0]
	equal(t, "slug", first.GetSlug(), "wiki")
	equal(t, "provider", first.GetProvider(), int32(7))
	equal(t, "provider object", at(first.GetProviderObj()).GetAssignedApplicationSlug(), "wiki")
	if launch, _ := first.GetLaunchUrlOk(); model("Application").Properties["launch_url"].Nullable {
		equal(t, "launch address", launch, (*string)(nil))
	}
	equal(t, "icon", first.GetMetaIconUrl(), "/media/wiki.svg")
	equal(t, "themed icon", at(first.GetMetaIconThemedUrls()).GetLight(), "/media/wiki-light.svg")
	equal(t, "mode", first.GetPolicyEngineMode(), api.POLICYENGINEMODE_ANY)
}

func TestQueryArrays(t *testing.T) {
	client, sent := stub(t, http.StatusOK, answer("PaginatedUserList", list(user())))
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

	equal(t, "results", len(page.GetResults()), 1)
	first := page.GetResults()[0]
	equal(t, "joined", first.GetDateJoined().Format(time.RFC3339Nano), "2026-01-02T03:04:05.678Z")
	equal(t, "last login", first.GetLastLogin(), time.Time{})
	equal(t, "type", first.GetType(), api.USERTYPEENUM_SERVICE_ACCOUNT)
	equal(t, "group", at(first.GetGroupsObj()[0]).GetNumPk(), int32(12))
	equal(t, "attributes", first.GetAttributes(), map[string]any{
		"snake_key": map[string]any{"deep_key": []any{1.0, 2.0}},
	})
}

func TestQueryArrayWithCommas(t *testing.T) {
	client, sent := stub(t, http.StatusOK, answer("PaginatedReputationList", list()))
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
	client, sent := stub(t, http.StatusCreated, answer("Application", application()))
	wanted := api.NewApplicationRequestWithDefaults()
	wanted.SetName(`Wiki "é"`)
	wanted.SetSlug("wiki")
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
	equal(t, "pk", created.GetPk(), uuid)
}

func TestPartialUpdate(t *testing.T) {
	client, sent := stub(t, http.StatusOK, answer("Application", application()))
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
	client, sent := stub(t, http.StatusOK, answer("PasswordChallenge", object{
		"component":       "ak-stage-password",
		"flow_info":       object{"cancel_url": "/cancel/", "layout": "content_left"},
		"response_errors": object{"password": []any{object{"string": "Wrong.", "code": "invalid"}}},
		"pending_user":    "ada", "pending_user_avatar": "/ada.png",
	}))
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
	equal(t, "user", password.GetPendingUser(), "ada")
	equal(t, "layout", at(password.GetFlowInfo()).GetLayout(), api.CONTEXTUALFLOWINFOLAYOUTENUM_CONTENT_LEFT)
	equal(t, "error", at(password.GetResponseErrors()["password"][0]).GetCode(), "invalid")
	if challenge.RedirectChallenge != nil {
		t.Error("challenge is a redirect, too")
	}
}

func TestOneOfRequest(t *testing.T) {
	client, sent := stub(t, http.StatusOK, answer("RedirectChallenge", object{
		"component": "xak-flow-redirect", "to": "/if/user/",
	}))
	password := api.NewPasswordChallengeResponseRequestWithDefaults()
	password.SetPassword("pässword")
	challenge, _, err := client.FlowsAPI.FlowsExecutorSolve(signedIn(), "login").
		Query("").
		FlowChallengeResponseRequest(api.PasswordChallengeResponseRequestAsFlowChallengeResponseRequest(password)).
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
	equal(t, "to", challenge.RedirectChallenge.GetTo(), "/if/user/")
}

func TestValidationError(t *testing.T) {
	client, _ := stub(t, http.StatusBadRequest, answer("ValidationError", object{
		"slug": []any{"Taken."}, "code": "invalid",
	}))
	_, response, err := client.CoreAPI.CoreApplicationsCreate(signedIn()).
		ApplicationRequest(*api.NewApplicationRequestWithDefaults()).
		Execute()
	var failure *api.GenericOpenAPIError
	if !errors.As(err, &failure) {
		t.Fatalf("error is %#v", err)
	}
	equal(t, "status", response.StatusCode, http.StatusBadRequest)
	said, ok := failure.Model().(api.ValidationError)
	if !ok {
		t.Fatalf("model is a %T", failure.Model())
	}
	equal(t, "code", said.GetCode(), "invalid")
	equal(t, "slug", said.AdditionalProperties["slug"], any([]any{"Taken."}))
	if !bytes.Contains(failure.Body(), []byte("Taken.")) {
		t.Errorf("body is %q", failure.Body())
	}
}

func TestGenericError(t *testing.T) {
	client, _ := stub(t, http.StatusForbidden, answer("GenericError", object{"detail": "No."}))
	_, response, err := client.AdminAPI.AdminVersionRetrieve(signedIn()).Execute()
	var failure *api.GenericOpenAPIError
	if !errors.As(err, &failure) {
		t.Fatalf("error is %#v", err)
	}
	equal(t, "status", response.StatusCode, http.StatusForbidden)
	said, ok := failure.Model().(api.GenericError)
	if !ok {
		t.Fatalf("model is a %T", failure.Model())
	}
	equal(t, "detail", said.GetDetail(), "No.")
}

// An answer must have what the schema requires, and only known enum values.
func TestWrongAnswers(t *testing.T) {
	wrong := []object{{"policy_engine_mode": "some"}}
	for _, name := range model("Application").Required {
		wrong = append(wrong, object{name: missing})
	}
	for _, change := range wrong {
		changed := model("Application").complete(application()).(object)
		for name, value := range change {
			changed[name] = value
			if value == missing {
				delete(changed, name)
			}
		}
		page := model("PaginatedApplicationList").complete(list()).(object)
		page["results"] = []any{changed}
		client, _ := stub(t, http.StatusOK, text(page))
		if _, _, err := client.CoreAPI.CoreApplicationsList(signedIn()).Execute(); err == nil {
			t.Errorf("took %s", text(page))
		}
	}
}

// missing stands for a property that is not there.
const missing = "(missing)"

// models are those that the tests above have to do with.
var models = map[string]reflect.Type{
	"Application":                      reflect.TypeFor[api.Application](),
	"ApplicationRequest":               reflect.TypeFor[api.ApplicationRequest](),
	"ContextualFlowInfo":               reflect.TypeFor[api.ContextualFlowInfo](),
	"ErrorDetail":                      reflect.TypeFor[api.ErrorDetail](),
	"GenericError":                     reflect.TypeFor[api.GenericError](),
	"PaginatedApplicationList":         reflect.TypeFor[api.PaginatedApplicationList](),
	"PaginatedReputationList":          reflect.TypeFor[api.PaginatedReputationList](),
	"PaginatedUserList":                reflect.TypeFor[api.PaginatedUserList](),
	"Pagination":                       reflect.TypeFor[api.Pagination](),
	"PartialGroup":                     reflect.TypeFor[api.PartialGroup](),
	"PasswordChallenge":                reflect.TypeFor[api.PasswordChallenge](),
	"PasswordChallengeResponseRequest": reflect.TypeFor[api.PasswordChallengeResponseRequest](),
	"PatchedApplicationRequest":        reflect.TypeFor[api.PatchedApplicationRequest](),
	"Provider":                         reflect.TypeFor[api.Provider](),
	"RedirectChallenge":                reflect.TypeFor[api.RedirectChallenge](),
	"Reputation":                       reflect.TypeFor[api.Reputation](),
	"ThemedUrls":                       reflect.TypeFor[api.ThemedUrls](),
	"User":                             reflect.TypeFor[api.User](),
	"ValidationError":                  reflect.TypeFor[api.ValidationError](),
	"Version":                          reflect.TypeFor[api.Version](),
}

// Each property of the schema has a getter that gives what was sent, and comes out as it went in.
func TestModels(t *testing.T) {
	for name, kind := range models {
		if len(model(name).Properties) == 0 {
			t.Errorf("%s has no properties", name)
		}
		for _, extent := range []extent{required, nulls, all} {
			sent := model(name).make(extent).(object)
			value := reflect.New(kind)
			if err := json.Unmarshal([]byte(text(sent)), value.Interface()); err != nil {
				t.Errorf("%s does not take %s: %v", name, text(sent), err)
				continue
			}
			equal(t, name, withoutNulls(again(t, value.Interface())), withoutNulls(sent))
			unknown := value.Elem().FieldByName("AdditionalProperties")
			if unknown.IsValid() && unknown.Len() > 0 {
				t.Errorf("%s does not know %v", name, unknown)
			}
			if extent != all {
				continue
			}
			for property, want := range sent {
				getter := method(value, "get"+property)
				if !getter.IsValid() {
					t.Errorf("%s has no getter of %s", name, property)
					continue
				}
				equal(t, name+"'s "+property, again(t, getter.Call(nil)[0].Interface()), want)
			}
		}
	}
}

// withoutNulls leaves out nulls: a list that is null is the same as none to the client.
func withoutNulls(value any) any {
	switch value := value.(type) {
	case object:
		left := object{}
		for name, property := range value {
			if property != nil {
				left[name] = withoutNulls(property)
			}
		}
		return left
	case []any:
		left := []any{}
		for _, item := range value {
			left = append(left, withoutNulls(item))
		}
		return left
	}
	return value
}

// method finds a method by its name without regard to case and signs.
func method(value reflect.Value, name string) reflect.Value {
	for i := range value.NumMethod() {
		if letters(value.Type().Method(i).Name) == letters(name) {
			return value.Method(i)
		}
	}
	return reflect.Value{}
}

func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// again is what a value becomes as JSON.
func again(t *testing.T, value any) any {
	t.Helper()
	var again any
	if err := json.Unmarshal([]byte(text(value)), &again); err != nil {
		t.Fatal(err)
	}
	return again
}

func TestEnum(t *testing.T) {
	if !slices.Contains(api.AllowedPolicyEngineModeEnumValues, api.POLICYENGINEMODE_ANY) {
		t.Error("a value is missing")
	}
	if _, err := api.NewPolicyEngineModeFromValue("some"); err == nil {
		t.Error("took a value that is none")
	}
}
