package outside

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Serve answers as pods do, over HTTP and UDP: the questions hostname and
// clientip.
func (h *Host) Serve(port int) error {
	at := fmt.Sprintf(":%d", port)
	var tcp net.Listener
	var udp net.PacketConn
	err := h.Do(func() (err error) {
		var config net.ListenConfig
		if tcp, err = config.Listen(context.Background(), "tcp", at); err != nil {
			return err
		}
		udp, err = config.ListenPacket(context.Background(), "udp", at)
		return err
	})
	if tcp != nil {
		h.ends = append(h.ends, tcp.Close)
	}
	if err != nil {
		return fmt.Errorf("serve on host %s: %w", h.Name, err)
	}
	h.ends = append(h.ends, udp.Close)
	server := &http.Server{Handler: http.HandlerFunc(h.http), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(tcp) }() // ends with the listener
	go h.udp(udp)
	return nil
}

func (h *Host) answer(question, client string) string {
	switch question {
	case "hostname":
		return h.Name
	case "clientip":
		return client
	}
	return ""
}

func (h *Host) http(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, h.answer(strings.TrimPrefix(r.URL.Path, "/"), r.RemoteAddr))
}

func (h *Host) udp(conn net.PacketConn) {
	question := make([]byte, 2048)
	for {
		n, client, err := conn.ReadFrom(question)
		if err != nil {
			return // closed
		}
		_, _ = conn.WriteTo([]byte(h.answer(string(question[:n]), client.String())), client)
	}
}

// Ask asks a pod's server over HTTP for its name and for the address that it
// was asked from.
func (h *Host) Ask(ctx context.Context, server netip.AddrPort, wait time.Duration) (name string, client netip.Addr, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	transport := &http.Transport{DialContext: h.dial}
	defer transport.CloseIdleConnections()
	if name, err = get(ctx, transport, server, "hostname"); err != nil {
		return "", netip.Addr{}, err
	}
	text, err := get(ctx, transport, server, "clientip")
	if err != nil {
		return name, netip.Addr{}, err
	}
	from, err := netip.ParseAddrPort(text)
	return name, from.Addr().Unmap(), err
}

func (h *Host) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = h.Do(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

func get(ctx context.Context, transport *http.Transport, server netip.AddrPort, question string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/%s", server, question), http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // it has been read
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return strings.TrimSpace(string(body)), err
}
