package unixsocket

import (
	"context"
	"errors"
	"fmt"
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
	var d net.Dialer
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := d.DialContext(ctx, "unix", path)
			if err != nil {
				return nil, fmt.Errorf("%w on %s: %w", absent, path, errors.Unwrap(err))
			}
			return conn, nil
		},
	}
}
