package unixsocket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Serve runs server on l until ctx ends; requests in flight then get grace
// more. It returns nil if ctx ended it and all of them were answered, and
// context.DeadlineExceeded if some were cut off.
func Serve(ctx context.Context, server *http.Server, l net.Listener, grace time.Duration) error {
	done := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if err := server.Shutdown(limit); err != nil {
			done <- errors.Join(err, server.Close())
			return
		}
		done <- nil
	})
	err := server.Serve(l)
	if !stop() { // ctx has ended: wait for the shutdown
		return <-done
	}
	return fmt.Errorf("serve %s: %w", l.Addr(), err)
}

// Transport connects every request anew to the socket at path, whatever host
// the request names. A failure to connect wraps absent.
func Transport(path string, absent error) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path, absent) },
	}
}

func dial(ctx context.Context, path string, absent error) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w on %s: %w", absent, path, errors.Unwrap(err))
	}
	return conn, nil
}

// Once makes one request over a connection of its own, as http.Client with
// Transport does, for a process that is about to end: it starts no goroutines.
// The caller closes the answer's body, which ends the connection.
func Once(req *http.Request, path string, absent error) (*http.Response, error) {
	conn, err := dial(req.Context(), path, absent)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(req.Context(), func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // the call under way fails
	resp, err := roundTrip(conn, req)
	if err != nil {
		stop()
		return nil, errors.Join(err, context.Cause(req.Context()), conn.Close())
	}
	resp.Body = &connBody{resp.Body, conn, stop}
	return resp, nil
}

func roundTrip(conn net.Conn, req *http.Request) (*http.Response, error) {
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(conn), req)
}

// connBody is an answer's body that ends its connection.
type connBody struct {
	io.ReadCloser
	conn net.Conn
	stop func() bool
}

// Close implements io.Closer.
func (b *connBody) Close() error {
	b.stop()
	return errors.Join(b.ReadCloser.Close(), b.conn.Close())
}
