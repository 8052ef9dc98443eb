package ui_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/flowmap"
	"github.com/signet-cni/signet/internal/ui"
)

func handler(at string) http.Handler {
	addr, err := net.ResolveTCPAddr("tcp", at)
	if err != nil {
		panic(err)
	}
	return ui.New(flowmap.New(), ui.Info{Cluster: "kind-test"}, "secret", addr).Handler()
}

func ask(h http.Handler, method, host, path, token string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	ctx, cancel := context.WithCancel(r.Context())
	cancel() // one line of a stream will do
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(ctx))
	return w.Result()
}

// A name that is pointed at this machine reaches nothing.
func TestHosts(t *testing.T) {
	for _, test := range []struct {
		at, host string
		want     int
	}{
		{"127.0.0.1:9480", "127.0.0.1:9480", 200},
		{"127.0.0.1:9480", "localhost:9480", 200},
		{"127.0.0.1:9480", "evil.example:9480", 421},
		{"127.0.0.1:9480", "127.0.0.1.evil.example:9480", 421},
		{"127.0.0.1:9480", "127.0.0.1:80", 421},
		{"127.0.0.1:9480", "127.0.0.1", 421},
		{"127.0.0.1:9480", "127.0.0.2:9480", 421},
		{"127.0.0.1:9480", "", 421},
		{"127.0.0.1:80", "127.0.0.1", 200},
		{"[::1]:9480", "[::1]:9480", 200},
		{"192.0.2.1:9480", "192.0.2.1:9480", 200},
		{"192.0.2.1:9480", "localhost:9480", 421},
		{"0.0.0.0:9480", "192.0.2.1:9480", 200},
		{"0.0.0.0:9480", "evil.example:9480", 421},
	} {
		if got := ask(handler(test.at), http.MethodGet, test.host, "/", "").StatusCode; got != test.want {
			t.Errorf("served at %s, asked as %q: %d, want %d", test.at, test.host, got, test.want)
		}
	}
}

func TestToken(t *testing.T) {
	for token, want := range map[string]int{
		"Bearer secret": 200, "": 401, "Bearer ": 401, "secret": 401, "Bearer secretx": 401, "Bearer SECRET": 401,
	} {
		if got := ask(handler("127.0.0.1:9480"), http.MethodGet, "127.0.0.1:9480", "/api/map", token).StatusCode; got != want {
			t.Errorf("token %q: %d, want %d", token, got, want)
		}
	}
	if a, b := ui.NewToken(), ui.NewToken(); a == b || len(a) < 26 {
		t.Errorf("tokens %q, %q", a, b)
	}
}

func TestAnswersAreGuarded(t *testing.T) {
	for _, path := range []string{"/", "/main.js", "/theme.css", "/seal.svg", "/nothing", "/api/map"} {
		header := ask(handler("127.0.0.1:9480"), http.MethodGet, "127.0.0.1:9480", path, "Bearer secret").Header
		policy := header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: policy %q", path, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || header.Get("X-Content-Type-Options") != "nosniff" || path != "/nothing" && header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, header)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		if got := ask(handler("127.0.0.1:9480"), method, "127.0.0.1:9480", "/api/map", "Bearer secret").StatusCode; got != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, got)
		}
	}
}

// What the page has comes from its own server, and nothing becomes HTML or
// code by way of a string.
func TestPageIsItsOwn(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|javascript:|\sstyle=|on(click|load|error)=|https?://`)
	allowed := regexp.MustCompile(`http://www\.w3\.org/2000/svg`)
	err := fs.WalkDir(os.DirFS("page"), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile("page/" + path)
		if found := forbidden.Find(allowed.ReplaceAll(text, nil)); found != nil {
			t.Errorf("%s has %q", path, found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// streamed is a line of the stream.
type streamed struct {
	Info *ui.Info
	flowmap.Update
}

// A reader gets the map at once and every change; it notices an idle server.
func TestStream(t *testing.T) {
	flows := flowmap.New()
	address, token, _ := strings.Cut(serve(t, flows), "#")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"api/map", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() (line streamed) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("the stream ends: %v", lines.Err())
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		return line
	}
	if first := next(); first.Info == nil || first.Info.Cluster != "kind-signet" || !first.Full {
		t.Errorf("first line: %+v", first)
	}
	flows.SetNode("worker", flowmap.Live, "")
	if second := next(); second.Info != nil || second.Full || len(second.Nodes) != 1 {
		t.Errorf("second line: %+v", second)
	}
	began := time.Now()
	if beat := next(); beat.Nodes != nil || time.Since(began) < time.Second {
		t.Errorf("a heartbeat after %v: %+v", time.Since(began), beat)
	}
}
