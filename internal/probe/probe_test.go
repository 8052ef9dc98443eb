package probe_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/signet-cni/signet/internal/probe"
)

// serve answers on a free port of this machine.
func serve(t *testing.T, name string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	_ = l.Close() // Serve takes the port over
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- probe.Serve(ctx, name, "127.0.0.1", []uint16{at.Port()}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	for range 100 {
		conn, err := net.Dial("tcp", at.String())
		if err == nil {
			_ = conn.Close()
			return at
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the server does not listen")
	return at
}

// fake listens and answers what it is told to.
func fake(t *testing.T, answer string) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		for buf := make([]byte, 512); ; {
			_, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer != "" {
				_, _ = conn.WriteTo([]byte(answer), from)
			}
		}
	}()
	return conn.LocalAddr().String()
}

func TestAsk(t *testing.T) {
	at := serve(t, "server-7").String()
	closed := fmt.Sprintf("127.0.0.1:%d", 1)
	questions := map[string]struct {
		probe.Question
		want string
	}{
		"tcp":        {probe.Question{Kind: probe.TCP, At: at, Say: "hello you end"}, probe.Answer},
		"udp":        {probe.Question{Kind: probe.UDP, At: at, Say: "hello you end"}, probe.Answer},
		"connect":    {probe.Question{Kind: probe.Connect, At: at}, probe.Answer},
		"refused":    {probe.Question{Kind: probe.TCP, At: closed}, probe.Refused},
		"silent":     {probe.Question{Kind: probe.UDP, At: fake(t, ""), Wait: 600 * time.Millisecond}, probe.Silence},
		"other word": {probe.Question{Kind: probe.UDP, At: fake(t, "x 127.0.0.1:1 other\n"), Say: "mine"}, probe.Wrong},
		"nonsense":   {probe.Question{Kind: probe.UDP, At: fake(t, "x\n"), Say: "mine"}, probe.Wrong},
		"kind":       {probe.Question{Kind: "carrier pigeon", At: at}, probe.Failed},
		"name":       {probe.Question{Kind: probe.DNS, At: "localhost"}, probe.Answer},
	}
	var list []probe.Question
	for id, q := range questions {
		q.ID = id
		if q.Wait == 0 {
			q.Wait = 20 * time.Second
		}
		list = append(list, q.Question)
	}
	told := map[string]probe.Outcome{}
	err := probe.Ask(t.Context(), list, func(o probe.Outcome) error { told[o.ID] = o; return nil })
	if err != nil || len(told) != len(questions) {
		t.Fatalf("%d outcomes, %v", len(told), err)
	}
	for id, q := range questions {
		if o := told[id]; o.Got != q.want {
			t.Errorf("%s: %+v, want %s", id, o, q.want)
		}
	}
	for _, id := range []string{"tcp", "udp"} {
		if o := told[id]; o.Server != "server-7" || o.Client.String() != "127.0.0.1" {
			t.Errorf("%s: %+v", id, o)
		}
	}
	if len(told["name"].Addrs) == 0 {
		t.Errorf("localhost: %+v", told["name"])
	}
}

func TestServeTellsThatAPortIsTaken(t *testing.T) {
	at := serve(t, "first")
	if err := probe.Serve(t.Context(), "second", "127.0.0.1", []uint16{at.Port()}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("%v", err)
	}
}

// The marker is seen in clear, with what follows it; other traffic is not.
func TestSniff(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a packet socket")
	}
	const marker = "signet-probe-0123456789abcdef-"
	port := netip.MustParseAddrPort(fake(t, "")).Port()
	s, err := probe.Sniff([]string{"lo"}, marker, []uint16{port})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, text := range []string{marker + "3:4 end", "nothing", "\x04\x00\x00\x00sealed", "\x01\x00\x00\x00handshake"} {
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	seen, err := s.Stop()
	if err != nil || len(seen) != 1 {
		t.Fatalf("%+v, %v", seen, err)
	}
	// The loopback device shows each frame twice: sent and received.
	if m := seen[0].Marks; len(m) != 1 || m["3:4"] == 0 || seen[0].Sealed == 0 || seen[0].Sealed > 2 {
		t.Errorf("%+v", seen[0])
	}
	if _, err := probe.Sniff([]string{"no-such-device"}, marker, nil); err == nil {
		t.Error("a device that is not there is watched")
	}
}

func TestTowards(t *testing.T) {
	devices, err := probe.Towards([]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")})
	if err != nil || len(devices) != 1 || devices[0] != "lo" {
		t.Errorf("%q, %v", devices, err)
	}
}
