package device_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/signet-cni/signet/overlay"
)

// tool skips a test that needs a program which is not installed, or fails it
// where that must not happen.
func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s", name)
	}
	t.Skipf("needs %s", name)
}

// run executes a program on the node.
func (m *member) run(args ...string) string {
	m.t.Helper()
	var out []byte
	m.do(func() (err error) {
		out, err = exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			m.t.Errorf("%v: %s", args, out)
		}
		return err
	})
	return string(out)
}

// leaving waits for an IPv4 UDP packet to dst that leaves by the tap's device
// and gives its source.
func leaving(t *testing.T, p *tap, dst netip.Addr) netip.Addr {
	t.Helper()
	deadline := time.Now().Add(2 * time.Second)
	for {
		f, ok := p.receive(deadline)
		if !ok {
			t.Fatalf("nothing leaves for %s", dst)
		}
		if f.outgoing && len(f.packet) >= 28 && f.packet[9] == unix.IPPROTO_UDP && netip.AddrFrom4([4]byte(f.packet[16:20])) == dst {
			return netip.AddrFrom4([4]byte(f.packet[12:16]))
		}
	}
}

// TestMasqueradeUsesNodeAddress forwards a packet of the world's to a remote
// pod, as a NodePort does, with another device's address there to be taken by
// mistake. The receiving node accepts from this node only its own address.
func TestMasqueradeUsesNodeAddress(t *testing.T) {
	tool(t, "iptables")
	nodes := newCluster(t, 2)
	a, b := nodes[0], nodes[1]
	client := netip.MustParseAddr("198.51.100.2")
	a.wire("world", "world0")
	must(t, addAddress("world", netip.PrefixFrom(client, 24)))
	must(t, replaceRoute("world", netip.MustParsePrefix("198.51.100.0/24"), netip.Addr{}))
	must(t, replaceRoute("world", netip.PrefixFrom(b.pod(), 32), netip.MustParseAddr("198.51.100.1")))
	a.do(func() error {
		if err := addAddress("world0", netip.MustParsePrefix("198.51.100.1/24")); err != nil {
			return err
		}
		if err := addAddress("lo", netip.MustParsePrefix("203.0.113.9/32")); err != nil { // the first in line
			return err
		}
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
	})
	a.configure(b)
	a.run("iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE")
	p := a.tap(overlay.DefaultDevice, ethAll) // no other sees what leaves

	send := func() error {
		conn, err := net.Dial("udp4", netip.AddrPortFrom(b.pod(), 4000).String())
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("hello"))
		if errors.Is(err, unix.ENOKEY) { // the kernel's device, behind the tap: no peer has an IPv4 address
			return nil
		}
		return err
	}
	must(t, send())
	if src := leaving(t, p, b.pod()); src != a.address {
		t.Errorf("masqueraded as %s, want the node's address %s", src, a.address)
	}
	a.do(send) // the host itself
	if src := leaving(t, p, b.pod()); src != a.address {
		t.Errorf("the host sends from %s, want the node's address %s", src, a.address)
	}
}

// TestNodeAddressStillWorks: the node's address lives on two devices now; the
// node must be reachable at it and speak from it as before.
func TestNodeAddressStillWorks(t *testing.T) {
	nodes := newCluster(t, 2)
	a, b := nodes[0], nodes[1]
	a.configure(b)
	b.configure(a)
	var listener net.Listener
	b.do(func() (err error) {
		listener, err = net.Listen("tcp4", netip.AddrPortFrom(b.address, 8080).String())
		return err
	})
	defer listener.Close()
	a.do(func() error {
		for _, from := range []netip.Addr{{}, a.address} {
			d := net.Dialer{Timeout: 2 * time.Second}
			if from.IsValid() {
				d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
			}
			conn, err := d.Dial("tcp4", listener.Addr().String())
			if err != nil {
				t.Errorf("from %s: %v", from, err)
				continue
			}
			if got := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr(); got != a.address {
				t.Errorf("spoke from %s, want %s", got, a.address)
			}
			conn.Close()
		}
		if got := routeTo(b.address); got != "eth0 from "+a.address.String() {
			t.Errorf("route to the other node: %s", got)
		}
		return nil
	})
}

// TestHooksSeeDisabledIPv6 counts tunnel packets at both tc hooks although
// IPv6 is disabled on the device: the programs that translate sit there. With a
// filter in place, clsact counts each packet that it hands to it.
func TestHooksSeeDisabledIPv6(t *testing.T) {
	tool(t, "tc")
	nodes := newCluster(t, 2)
	a, b := nodes[0], nodes[1]
	a.configure(b)
	b.configure(a)
	reach(t, a, b)
	const all = "1,6 0 0 4294967295" // one instruction: return -1
	for m, hook := range map[*member]string{a: "egress", b: "ingress"} {
		m.run("tc", "qdisc", "add", "dev", "signet0", "clsact")
		m.run("tc", "filter", "add", "dev", "signet0", hook, "protocol", "ipv6", "bpf", "bytecode", all, "flowid", "1:1")
	}
	out, in := a.tap(overlay.DefaultDevice, ethIPv6), b.tap(overlay.DefaultDevice, ethIPv6)
	must(t, sendAll(out, a, b, 5))
	if got := countReceived(in, 5); got != 5 {
		t.Fatalf("%d of 5 packets arrived", got)
	}
	for m, hook := range map[*member]string{a: "egress", b: "ingress"} {
		if stats := m.run("tc", "-s", "qdisc", "show", "dev", "signet0", "clsact"); !strings.Contains(stats, " 5 pkt") {
			t.Errorf("the %s hook did not see 5 packets:\n%s", hook, stats)
		}
	}
}
