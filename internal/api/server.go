package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/signet-cni/signet/internal/unixsocket"
)

const (
	// shutdownTime is how long requests in flight may take once Serve is to
	// end.
	shutdownTime = 2 * time.Second
	// writeTime is how long a client may take for an answer that is no stream.
	writeTime = 10 * time.Second
)

// Source is what the agent knows. Its methods are called concurrently and
// return what the caller must not modify.
type Source interface {
	// Status asks the kernel for what can change there.
	Status() Status
	Endpoints() []Endpoint
	Identities() []Identity
	Services() []Service
	Policies() []PolicyStatus
	// Why explains the verdict on a packet.
	Why(WhyQuery) (Why, error)
	// Encryption looks at the tunnel's sessions.
	Encryption() Encryption
	// Rotate begins to change the node's keys.
	Rotate() error
	// Flows gives the one log of the node.
	Flows() *FlowLog
}

// Server answers for a node.
type Server struct {
	source Source
	log    *slog.Logger
}

// NewServer returns a Server of source.
func NewServer(source Source, log *slog.Logger) *Server {
	return &Server{source: source, log: log}
}

// Serve answers requests from l, which unixsocket.Listen made, until ctx ends;
// streams end with it, and other requests then get 2 s more. It returns nil if
// ctx ended it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      writeTime,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	return unixsocket.Serve(ctx, server, l, shutdownTime)
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, http.StatusOK, s.source.Status())
	})
	mux.HandleFunc("GET "+endpointsPath, func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, http.StatusOK, list(s.source.Endpoints()))
	})
	mux.HandleFunc("GET "+identitiesPath, func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, http.StatusOK, list(s.source.Identities()))
	})
	mux.HandleFunc("GET "+policiesPath, func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, http.StatusOK, list(s.source.Policies()))
	})
	mux.HandleFunc("GET "+servicesPath, func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, http.StatusOK, list(s.source.Services()))
	})
	mux.HandleFunc("GET "+encryptionPath, func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, http.StatusOK, s.source.Encryption())
	})
	mux.HandleFunc("POST "+rotatePath, s.rotate)
	mux.HandleFunc("GET "+whyPath, s.why)
	mux.HandleFunc("GET "+flowsPath, s.flows)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, http.StatusNotFound, fmt.Errorf("the agent does not know the request %s %.80q", r.Method, r.URL.Path))
	})
	return mux
}

func (s *Server) rotate(w http.ResponseWriter, _ *http.Request) {
	if err := s.source.Rotate(); err != nil {
		s.fail(w, http.StatusConflict, err)
		return
	}
	s.write(w, http.StatusOK, struct{}{})
}

func (s *Server) why(w http.ResponseWriter, r *http.Request) {
	query, err := ParseWhyQuery(r.URL.Query())
	if err == nil {
		var why Why
		if why, err = s.source.Why(query); err == nil {
			s.write(w, http.StatusOK, why)
			return
		}
	}
	s.fail(w, http.StatusBadRequest, err)
}

// list makes no elements an empty list instead of null.
func list[T any](elements []T) []T {
	if elements == nil {
		return []T{}
	}
	return elements
}

func (s *Server) fail(w http.ResponseWriter, status int, err error) {
	s.write(w, status, Error{Message: err.Error()})
}

func (s *Server) write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.log.Warn("cannot answer a request", "err", err)
	}
}
