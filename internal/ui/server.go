package ui

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/signet-cni/signet/internal/flowmap"
)

//go:embed page
var embedded embed.FS

// Info is what the page shows of where it looks.
type Info struct {
	Cluster string `json:"cluster"` // context of the kubeconfig, or the node
	Version string `json:"version"`
}

// Server serves one map.
type Server struct {
	flows *flowmap.Map
	info  Info
	token string
	hosts hosts
}

// New returns a server for those that know the token and reach it at an
// address of the listener.
func New(flows *flowmap.Map, info Info, token string, at net.Addr) *Server {
	return &Server{flows: flows, info: info, token: token, hosts: hostsOf(at)}
}

// Serve answers until ctx ends; it then returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // the streams would never end
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler answers all requests.
func (s *Server) Handler() http.Handler {
	page, err := fs.Sub(embedded, "page")
	if err != nil {
		panic(err) // the name is a constant
	}
	mux := http.NewServeMux()
	mux.Handle("GET /api/map", s.authorized(http.HandlerFunc(s.stream)))
	mux.Handle("GET /", http.FileServerFS(page))
	return s.guarded(mux)
}
