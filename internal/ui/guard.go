package ui

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets the page load its own parts and nothing else, and nobody put it
// into a frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// NewToken makes a token with 128 bits at least.
func NewToken() string { return rand.Text() }

// hosts are the names under which the server may be asked.
type hosts struct {
	port     string
	addr     netip.Addr // the zero value: any
	loopback bool
}

func hostsOf(at net.Addr) hosts {
	ap, err := netip.ParseAddrPort(at.String())
	if err != nil {
		return hosts{} // nothing is admitted
	}
	_, port, _ := net.SplitHostPort(at.String())
	h := hosts{port: port, addr: ap.Addr().Unmap(), loopback: ap.Addr().IsLoopback() || ap.Addr().IsUnspecified()}
	if ap.Addr().IsUnspecified() {
		h.addr = netip.Addr{}
	}
	return h
}

// admits reports whether a Host header names the server by an address of its
// own. Names are refused but for localhost: a name can be pointed anywhere.
func (h hosts) admits(host string) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), "80"
	}
	if port != h.port {
		return false
	}
	if h.loopback && name == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && (!h.addr.IsValid() || addr.Unmap() == h.addr)
}

// guarded refuses other hosts and sets the headers of every answer.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		if !s.hosts.admits(r.Host) {
			http.Error(w, "This is not the address that \"signet ui\" told.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// authorized admits who has the token.
func (s *Server) authorized(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte("Bearer " + s.token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			http.Error(w, "The token is missing or of another run: open the address that \"signet ui\" printed.", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
