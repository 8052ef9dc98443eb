package kube

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

func TestMain(m *testing.M) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// request is what the authorizer of an API server would see.
type request struct {
	verb, group, resource string // resource with "/subresource"
	namespace, name       string
	fields                string // the field selector
	labels                string // the label selector
}

// fakeAPI answers lists with fixed objects, keeps watches open and silent, and
// accepts every write. It writes down what it is asked.
type fakeAPI struct {
	*httptest.Server

	mu       sync.Mutex
	kinds    map[string]string // of lists, by resource
	objects  map[string][]any  // by resource
	answers  map[string]int    // status codes of requests other than list and watch, by "verb resource"
	requests []request
	bodies   []string
}

func newFakeAPI(t *testing.T, objects map[string][]any) *fakeAPI {
	t.Helper()
	api := &fakeAPI{objects: objects, answers: map[string]int{}, kinds: map[string]string{
		"pods": "PodList", "nodes": "NodeList", "namespaces": "NamespaceList", "services": "ServiceList",
		"networkpolicies": "NetworkPolicyList", "endpointslices": "EndpointSliceList",
		"identities": "IdentityList", "tunnels": "TunnelList",
	}}
	api.Server = httptest.NewServer(api)
	t.Cleanup(func() {
		api.CloseClientConnections()
		api.Close()
	})
	return api
}

func (a *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked, version := describe(r)
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	a.requests = append(a.requests, asked)
	if len(body) > 0 {
		a.bodies = append(a.bodies, string(body))
	}
	status := a.answers[asked.verb+" "+asked.resource]
	items := a.objects[asked.resource]
	kind := a.kinds[asked.resource]
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case asked.verb == "watch":
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case asked.verb == "list":
		list := map[string]any{
			"kind": kind, "apiVersion": version, "items": items,
			"metadata": map[string]any{"resourceVersion": "1"},
		}
		_ = json.NewEncoder(w).Encode(list)
	case status != 0:
		reason := reasons[status]
		if asked.verb == "delete" && status == http.StatusConflict {
			reason = "Conflict" // of preconditions
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason,
		})
	case asked.verb == "get":
		a.one(w, items, asked)
	case asked.resource == "leases":
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = w.Write(body)
	default:
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Success"}`))
	}
}

var reasons = map[int]string{
	http.StatusNotFound: "NotFound", http.StatusConflict: "AlreadyExists", http.StatusForbidden: "Forbidden",
}

func (a *fakeAPI) one(w http.ResponseWriter, items []any, asked request) {
	for _, it := range items {
		meta, _ := it.(map[string]any)["metadata"].(map[string]any)
		if meta["name"] == asked.name {
			_ = json.NewEncoder(w).Encode(it)
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":404,"reason":"NotFound"}`))
}

// describe reads a request as the API server does.
func describe(r *http.Request) (request, string) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	out := request{fields: r.URL.Query().Get("fieldSelector"), labels: r.URL.Query().Get("labelSelector")}
	version := parts[1]
	parts = parts[1:]
	if strings.HasPrefix(r.URL.Path, "/apis/") {
		out.group, version = parts[0], parts[0]+"/"+parts[1]
		parts = parts[1:]
	}
	parts = parts[1:]
	if len(parts) > 2 && parts[0] == "namespaces" {
		out.namespace = parts[1]
		parts = parts[2:]
	}
	out.resource = parts[0]
	if len(parts) > 1 {
		out.name = parts[1]
	}
	if len(parts) > 2 {
		out.resource += "/" + parts[2]
	}
	switch {
	case r.URL.Query().Get("watch") != "":
		out.verb = "watch"
	case r.Method == http.MethodGet && out.name == "":
		out.verb = "list"
	default:
		verbs := map[string]string{"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
		out.verb = verbs[r.Method]
	}
	return out, version
}

func (a *fakeAPI) seen() []request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

func (a *fakeAPI) sent() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.bodies)
}

// setKind changes what lists of a resource say they are; "" does not decode.
func (a *fakeAPI) setKind(resource, kind string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kinds[resource] = kind
}

func (a *fakeAPI) answer(what string, status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[what] = status
}

func (a *fakeAPI) client(t *testing.T) *Client {
	t.Helper()
	client, err := newClient(&rest.Config{Host: a.URL}, "node-1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// watcher runs one until the test ends, and waits until it has synced.
func (a *fakeAPI) watcher(t *testing.T, changed func(Kind)) *Watcher {
	t.Helper()
	w, err := NewWatcher(a.client(t), Config{Changed: changed, Prefix: derivePrefix})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	limit, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	if err := w.WaitSynced(limit); err != nil {
		t.Fatal(err)
	}
	return w
}
