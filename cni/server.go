package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/signet-cni/signet/cni/internal/wire"
	"github.com/signet-cni/signet/internal/unixsocket"
)

// shutdownTime is how long requests in flight may take once Serve is to end.
const shutdownTime = 5 * time.Second

// Server answers the CNI plugin.
type Server struct {
	manager *Manager
	log     *slog.Logger
}

// NewServer returns a Server of m.
func NewServer(m *Manager, log *slog.Logger) *Server {
	return &Server{manager: m, log: log}
}

// Listen opens the socket on which the plugin finds the agent; see
// unixsocket.Listen.
func Listen(path string, log *slog.Logger) (net.Listener, error) {
	return unixsocket.Listen(path, log)
}

// Serve answers requests from l, which Listen made, until ctx ends; requests
// in flight then get 5 s more. It returns nil if ctx ended it and all of them
// were answered, and context.DeadlineExceeded if some were cut off.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      connectTime + disconnectTime + 5*time.Second,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	return unixsocket.Serve(ctx, server, l, shutdownTime)
}

func (s *Server) handler() http.Handler {
	const endpoint = " /v1/endpoints/{container}/{ifname}"
	mux := http.NewServeMux()
	mux.HandleFunc("POST"+endpoint, s.observed(opAllocate, s.allocate))
	mux.HandleFunc("PUT"+endpoint, s.observed(opAttach, s.attach))
	mux.HandleFunc("GET"+endpoint, s.observed(opCheck, s.check))
	mux.HandleFunc("DELETE"+endpoint, s.observed(opRemove, s.remove))
	mux.HandleFunc("POST /v1/gc", s.observed(opGC, s.collect))
	mux.HandleFunc("GET /v1/status", s.observed(opStatus, s.status))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, http.StatusNotFound, fmt.Errorf("the agent does not know the request %s %.80q", r.Method, r.URL.Path))
	})
	return mux
}

// The requests, as Config.Observe is told of them.
const (
	opAllocate = "allocate" // the first half of an ADD
	opAttach   = "attach"   // the second
	opCheck    = "check"
	opRemove   = "remove"
	opGC       = "gc"
	opStatus   = "status"
)

// Operations are all that Config.Observe is told of.
var Operations = []string{opAllocate, opAttach, opCheck, opRemove, opGC, opStatus}

// observed tells Config.Observe of every request.
func (s *Server) observed(operation string, handle http.HandlerFunc) http.HandlerFunc {
	observe := s.manager.cfg.Observe
	if observe == nil {
		return handle
	}
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		answer := &statusWriter{ResponseWriter: w}
		handle(answer, r)
		observe(operation, time.Since(began), answer.status != http.StatusOK)
	}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (s *Server) allocate(w http.ResponseWriter, r *http.Request) {
	key, req, ok := read[wire.AllocateRequest](s, w, r)
	if !ok {
		return
	}
	got, err := s.manager.allocate(r.Context(), key, req)
	s.answer(w, r, got, err)
}

func (s *Server) attach(w http.ResponseWriter, r *http.Request) {
	key, req, ok := read[wire.AttachRequest](s, w, r)
	if !ok {
		return
	}
	err := s.manager.attach(r.Context(), key, req)
	s.answer(w, r, wire.Empty{Header: wire.NewHeader()}, err)
}

func (s *Server) check(w http.ResponseWriter, r *http.Request) {
	key, ok := s.key(w, r)
	if !ok {
		return
	}
	got, err := s.manager.check(r.Context(), key)
	s.answer(w, r, got, err)
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	key, ok := s.key(w, r)
	if !ok {
		return
	}
	err := s.manager.remove(r.Context(), key)
	s.answer(w, r, wire.Empty{Header: wire.NewHeader()}, err)
}

func (s *Server) collect(w http.ResponseWriter, r *http.Request) {
	req, err := wire.Decode[wire.GCRequest](r.Body)
	for _, key := range req.Valid {
		err = errors.Join(err, key.Validate())
	}
	if err != nil {
		s.fail(w, r, http.StatusBadRequest, err)
		return
	}
	err = s.manager.collect(r.Context(), req.Valid)
	s.answer(w, r, wire.Empty{Header: wire.NewHeader()}, err)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, wire.Empty{Header: wire.NewHeader()}, s.manager.ready())
}

// key reads the interface that a request is about. If it is invalid, the
// request has been answered and ok is false.
func (s *Server) key(w http.ResponseWriter, r *http.Request) (key wire.Key, ok bool) {
	key = wire.Key{ContainerID: r.PathValue("container"), IfName: r.PathValue("ifname")}
	if err := key.Validate(); err != nil {
		s.fail(w, r, http.StatusBadRequest, err)
		return wire.Key{}, false
	}
	return key, true
}

// read is key for requests that have a body.
func read[T wire.Message](s *Server, w http.ResponseWriter, r *http.Request) (key wire.Key, body T, ok bool) {
	if key, ok = s.key(w, r); !ok {
		return key, body, false
	}
	body, err := wire.Decode[T](r.Body)
	if err != nil {
		s.fail(w, r, http.StatusBadRequest, err)
		return key, body, false
	}
	return key, body, true
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, body wire.Message, err error) {
	if err != nil {
		s.fail(w, r, http.StatusInternalServerError, err)
		return
	}
	s.write(w, http.StatusOK, body)
}

// fail answers with an error: its own CNI error code if it has one.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	s.log.Warn("CNI request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	answer := &wire.Error{Header: wire.NewHeader(), Code: types.ErrInternal, Message: err.Error()}
	var refusal *wire.Error
	if errors.As(err, &refusal) {
		answer.Code = refusal.Code
	}
	s.write(w, status, answer)
}

func (s *Server) write(w http.ResponseWriter, status int, body wire.Message) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.log.Warn("cannot answer a CNI request", "err", err)
	}
}
